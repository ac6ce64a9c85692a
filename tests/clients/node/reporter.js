// A reporter for mocha: a line for each test, as tests/clients/verdict reads them.
'use strict';

const in_one = text => String(text).replace(/\s+/g, ' ').trim();

module.exports = function (runner) {
  const name = test => in_one(test.fullTitle());
  runner.on('pass', test => console.log(`ok ${name(test)}`));
  runner.on('pending', test => console.log(`skipped ${name(test)}: so its authors want it`));
  runner.on('fail', (test, error) => {
    console.log(`failed ${name(test)}: ${in_one(error && error.message).slice(0, 300)}`);
  });
};
