// For clients that bring no tests that meet a server: a list of calls and what must come of them.
'use strict';

// Of a call, in milliseconds.
const LIMIT = 10000;

const in_one = text => String(text).replace(/\s+/g, ' ').trim().slice(0, 300);

// Calls each of `calls` ([name, function that gives a promise]), one after the other, and prints a
// line for each.
exports.run = async function (calls) {
  for (const [name, call] of calls) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not over after ${LIMIT} ms`)), LIMIT);
    });
    try {
      await Promise.race([Promise.resolve().then(call), late]);
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`failed ${name}: ${in_one(error && error.message || error)}`);
    } finally {
      clearTimeout(timer);
    }
  }
  // Their pools would keep the program alive.
  process.exit(0);
};

// Asks the node itself: what the client cannot prepare.
exports.put = async function (url, path, body, type) {
  const headers = { 'Content-Type': type || 'application/json' };
  const answer = await fetch(url + path, { method: 'PUT', headers, body });
  if (!answer.ok) throw new Error(`PUT ${path}: ${answer.status} ${await answer.text()}`);
};
