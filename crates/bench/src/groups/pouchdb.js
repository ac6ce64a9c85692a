// Counts the words of the texts in texts.json by a view, and prints the seconds that it took to make and
// read it, and how many words there are.
const PouchDB = require('pouchdb');
PouchDB.plugin(require('pouchdb-adapter-memory'));
const texts = require('./texts.json');

async function main() {
  const db = new PouchDB('book', { adapter: 'memory' });
  const view = {
    map: `function (doc) {
      (doc.text.toLowerCase().match(/\\w+/g) || []).forEach(function (word) { emit(word, 1); });
    }`,
    reduce: '_sum'
  };
  await db.bulkDocs(texts.map((text, number) => ({ _id: String(number), text })));
  await db.put({ _id: '_design/words', views: { words: view } });
  const began = process.hrtime.bigint();
  const { rows } = await db.query('words/words', { group: true });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(seconds, rows.reduce((sum, row) => sum + row.value, 0));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
