// Calls of the client `riak` against a node: riak.js URL.
'use strict';

const assert = require('assert');
const Riak = require('riak');
const { put, run } = require('./calls');

const url = process.argv[2];
const client = new Riak([new URL(url).host], 'tests');
client.log = client.warn = client.error = () => {};

const bucket = 'node_riak';
const siblings = 'node_riak_siblings';

const promised = call => new Promise((resolve, reject) => {
  call((error, response, body) => (error ? reject(error) : resolve({ response, body })));
});
const get = (of, key, options) => promised(done => client.get(of, key, options || {}, done));
const store = (of, key, value, options) =>
  promised(done => client.put(of, key, value, options || {}, done));

run([
  ['put', async () => {
    const { response } = await store(bucket, 'k', { a: 1 });
    assert.strictEqual(response.statusCode, 204);
    assert.strictEqual(response.headers['content-type'], 'application/json');
  }],
  ['put with return_body', async () => {
    const { response, body } = await store(bucket, 'k', { a: 2 }, { return_body: true });
    assert.strictEqual(response.statusCode, 200);
    assert.deepStrictEqual(body, { a: 2 });
  }],
  ['put of text', async () => {
    const http_headers = { 'Content-Type': 'text/plain' };
    await store(bucket, 'text', 'word', { http_headers, parse: false });
    const { body } = await get(bucket, 'text', { parse: false });
    assert.strictEqual(body, 'word');
  }],
  ['get', async () => {
    const { response, body } = await get(bucket, 'k', { r_val: 1 });
    assert.deepStrictEqual(body, { a: 2 });
    assert.ok(response.headers['x-riak-vclock']);
  }],
  ['get of what is missing', async () => {
    const { response } = await get(bucket, 'nothing');
    assert.strictEqual(response.statusCode, 404);
  }],
  ['get with names that need escapes', async () => {
    await store('a b/c', 'ü?&', { a: 3 });
    const { body } = await get('a b/c', 'ü?&');
    assert.deepStrictEqual(body, { a: 3 });
  }],
  ['get with a condition', async () => {
    const { response } = await get(bucket, 'k');
    const http_headers = { 'If-None-Match': response.headers.etag };
    const again = await get(bucket, 'k', { http_headers });
    assert.strictEqual(again.response.statusCode, 304);
  }],
  ['siblings', async () => {
    await put(url, `/buckets/${siblings}/props`, '{"props":{"allow_mult":true}}');
    await store(siblings, 'k', { a: 1 });
    await store(siblings, 'k', { a: 2 });
    const resolver = (values, done) => {
      const sum = values.map(([, value]) => value.a).reduce((one, other) => one + other, 0);
      done({ a: sum }, {}, false);
    };
    const http_headers = { Accept: 'multipart/mixed' };
    const { response, body } = await get(siblings, 'k', { resolver, http_headers });
    assert.deepStrictEqual(body, { a: 3 });
    const settled = { http_headers: { 'X-Riak-Vclock': response.headers['x-riak-vclock'] } };
    await store(siblings, 'k', body, settled);
    assert.deepStrictEqual((await get(siblings, 'k')).body, { a: 3 });
  }],
  ['modify', async () => {
    const change = (value, done) => done({ a: value.a + 1 });
    await promised(done => client.modify(bucket, 'k', change, {}, done));
    assert.deepStrictEqual((await get(bucket, 'k')).body, { a: 3 });
  }],
  ['modify of what is missing', async () => {
    const change = (value, done) => done({ was: value });
    await promised(done => client.modify(bucket, 'made', change, {}, done));
    assert.deepStrictEqual((await get(bucket, 'made')).body, { was: null });
  }],
  ['replace', async () => {
    await promised(done => client.replace(bucket, 'k', { b: 1 }, {}, done));
    assert.deepStrictEqual((await get(bucket, 'k')).body, { b: 1 });
  }],
  ['append', async () => {
    await store(bucket, 'list', ['a']);
    await promised(done => client.append(bucket, 'list', 'b', {}, done));
    assert.deepStrictEqual((await get(bucket, 'list')).body, ['a', 'b']);
  }],
  ['post of a query', async () => {
    const query = [{ map: { language: 'javascript', name: 'Riak.mapValuesJson' } }];
    const text = JSON.stringify({ inputs: [[bucket, 'k']], query });
    const { body } = await promised(done => client.post('/mapred', text, done));
    assert.deepStrictEqual(body, [{ b: 1 }]);
  }],
  ['del', async () => {
    const { response } = await promised(done => client.del(bucket, 'k', done));
    assert.strictEqual(response.statusCode, 204);
    assert.strictEqual((await get(bucket, 'k')).response.statusCode, 404);
  }],
  ['solr', async () => {
    const { response } = await promised(done => client.solr(bucket, 'a:1', 1, done));
    assert.strictEqual(response.statusCode, 200);
  }],
]);
