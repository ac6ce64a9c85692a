// What old clients use of older releases of Node.js, put back before they are loaded.
'use strict';

const http = require('http');

// Options could be inherited once: riak-js has them so. And a test of it makes a request of its own,
// which goes to Riak's port whatever HTTP_PORT says.
const RIAKS_PORT = '8098';
const { request } = http;
http.request = function (options, ...more) {
  if (options && typeof options === 'object' && !(options instanceof URL)) {
    const own = {};
    for (const name in options) {
      if (name !== 'agent' && typeof options[name] === 'function') continue;
      own[name] = options[name];
    }
    if (String(own.port) === RIAKS_PORT && process.env.HTTP_PORT) own.port = process.env.HTTP_PORT;
    return request.call(http, own, ...more);
  }
  return request.call(http, options, ...more);
};
