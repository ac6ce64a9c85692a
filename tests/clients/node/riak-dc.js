// Calls of the client `riak-dc` against a node: riak-dc.js URL. Its own tests never meet a server.
'use strict';

const assert = require('assert');
const client = require('riak-dc');
const { run } = require('./calls');

const url = new URL(process.argv[2]);
client.init(url.hostname, url.port);
const bucket = 'node_riak_dc';

run([
  ['ping', async () => assert.strictEqual(await client.ping(), true)],
  ['put_tuple', async () => {
    const key = await client.put_tuple(bucket, { a: 1 });
    assert.match(key, /^[0-9A-Za-z]{20,}$/);
    assert.deepStrictEqual(JSON.parse(await client.get_tuple(bucket, key)), { a: 1 });
  }],
  ['put_tuple with a key', async () => {
    assert.strictEqual(await client.put_tuple(bucket, { a: 2 }, 'k'), 'k');
    assert.deepStrictEqual(JSON.parse(await client.get_tuple(bucket, 'k')), { a: 2 });
  }],
  ['get_tuple of what is missing', async () => {
    assert.strictEqual(await client.get_tuple(bucket, 'nothing'), 'not found\n');
  }],
  ['get_keys', async () => assert.ok((await client.get_keys(bucket)).includes('k'))],
  ['get_buckets', async () => assert.ok((await client.get_buckets()).includes(bucket))],
  ['del_tuple', async () => {
    // What it promises is a body, and a 204 has none: nobody can wait for it.
    client.del_tuple(bucket, 'k');
    while (await client.get_tuple(bucket, 'k') !== 'not found\n') {
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }],
]);
