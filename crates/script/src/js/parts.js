// What calls the parts of a query that are no phases: readers of inputs, functions that choose partitions,
// and writers of outputs. Each becomes a function that is called like that of a map, and whose key data
// says what is wanted of it. The first result of a reader that reads, and of a writer, tells how things stand.
(function (reader, partition, writer) {
  // What emit is while a part is called.
  function within(emit, call) {
    var outer = globalThis.emit;
    globalThis.emit = emit;
    try {
      return call();
    } finally {
      globalThis.emit = outer;
    }
  }

  function none() { throw new Error('emit: only a map and a reduce with "group" can emit'); }

  function silent(part) {
    return part && function (value, asked) { return within(none, function () { return part(asked); }); };
  }

  return [
    function (given) { return silent(reader(given)); },
    function (given) { return silent(partition(given)); },
    function (given) { return writer(given, within); }
  ];
})((function () {
  var stringify = JSON.stringify, parse = JSON.parse, now = Date.now;

  function text(value, what) {
    var json = stringify(value);
    if (json === undefined) throw new TypeError(what + ' is no JSON value but ' + typeof value);
    return json;
  }

  function bounded(json, most, what) {
    if (json.length > most) throw new RangeError(what + ' is larger than ' + most + ' characters of JSON');
    return json;
  }

  function iterate(value, what) {
    if (Array.isArray(value)) return value[Symbol.iterator]();
    if (value && typeof value.next === 'function') return value;
    throw new TypeError(what + ' gives a list or a generator, not ' + (value === null ? 'null' : typeof value));
  }

  function begin(reader, json) {
    var state = parse(json);
    return { state: state, iterator: iterate(reader.read(state), 'read'), ahead: undefined };
  }

  // Whether reading from a state gives an item first.
  function leads(reader, json, item) {
    try {
      var going = begin(reader, json), step = going.iterator.next();
      if (going.iterator.return) going.iterator.return();
      return !step.done && stringify(step.value) === item;
    } catch (error) {
      return false;
    }
  }

  // Where to go on: from a state that leads to the next item, which is the one before that was given or the
  // one after it was asked for; else from the state before, past what was given since.
  function place(reader, asked, taken, before, after, next) {
    if (before !== after) {
      var one = leads(reader, before, next), other = leads(reader, after, next);
      if (one !== other) return { state: one ? before : after, skip: 0 };
    }
    return { state: asked.state, skip: asked.skip + taken };
  }

  function split(reader, asked) {
    var states = [], iterator = iterate(reader.split(asked.params, asked.shards), 'split');
    for (var step = iterator.next(); !step.done; step = iterator.next()) {
      if (states.length >= asked.most) throw new RangeError('split gives more than ' + asked.most + ' states');
      var what = 'state ' + states.length + ' of split';
      bounded(text(step.value, what), asked.state_most, what);
      states.push(step.value);
    }
    return states;
  }

  function read(reader, asked, live) {
    var token = asked.shard + ' ' + asked.skip + ' ' + asked.state, going = live.get(token);
    live.delete(token);
    if (!going) {
      going = begin(reader, asked.state);
      going.ahead = going.iterator.next();
      for (var skipped = 0; skipped < asked.skip; skipped++) {
        if (going.ahead.done) throw new Error('read gives fewer items than before: ' + skipped + ' of ' + asked.skip);
        going.ahead = going.iterator.next();
      }
    }
    var items = [], size = 0, until = now() + asked.ms, step = going.ahead, before, after;
    while (!step.done) {
      var item = step.value, json = text(item, 'an item of read');
      items.push(item);
      size += json.length;
      var full = items.length >= asked.items || size >= asked.size || now() >= until;
      if (full) before = bounded(text(going.state, 'the state'), asked.state_most, 'the state');
      step = going.iterator.next();
      if (full) break;
    }
    if (step.done) return [{ done: true }].concat(items);
    after = bounded(text(going.state, 'the state'), asked.state_most, 'the state');
    var next = place(reader, asked, items.length, before, after, text(step.value, 'an item of read'));
    going.ahead = step;
    if (live.size >= asked.kept) live.delete(live.keys().next().value);
    live.set(asked.shard + ' ' + next.skip + ' ' + next.state, going);
    return [{ done: false, state: parse(next.state), skip: next.skip }].concat(items);
  }

  return function (reader) {
    if (!reader || typeof reader.split !== 'function' || typeof reader.read !== 'function') return undefined;
    var live = new Map();
    return function (asked) {
      return asked.split ? split(reader, asked) : read(reader, asked, live);
    };
  };
})(), function (choose) {
  if (typeof choose !== 'function') return undefined;
  return function (asked) {
    return asked.keys.map(function (key) {
      var number = choose(key, asked.partitions), again = choose(key, asked.partitions);
      if (!(Number.isInteger(number) && number >= 0 && number < asked.partitions)) {
        throw new RangeError('partition_by gives ' + show(number) + ' for the key ' + JSON.stringify(key) +
          ', and not a whole number from 0 to ' + (asked.partitions - 1));
      }
      if (number !== again) {
        throw new Error('partition_by gives ' + show(number) + ' and then ' + show(again) + ' for the key ' +
          JSON.stringify(key));
      }
      return number;
    });
  };

  function show(value) {
    return typeof value === 'number' || value === undefined ? String(value) : JSON.stringify(value);
  }
}, function (writer, within) {
  if (!writer || typeof writer.write !== 'function') return undefined;
  return function (value, asked) {
    var parts = [], names = asked.names.slice(), known = new Set(names);
    writer.state = asked.state;

    function give(name, text) {
      if (text === undefined || text === null) return;
      parts.push([name, typeof text === 'string' ? text : JSON.stringify(text)]);
    }

    function emit(name, text) {
      if (typeof name !== 'string' || name === '') {
        throw new TypeError('write gives a part for ' + JSON.stringify(name) + ', which is no name of an object');
      }
      if (!known.has(name)) {
        if (names.length >= asked.most) throw new RangeError('write gives parts for more than ' + asked.most + ' objects');
        known.add(name);
        names.push(name);
        if (typeof writer.open === 'function') give(name, writer.open(name));
      }
      give(name, text);
    }

    function take(given) {
      if (given === undefined || given === null) return;
      var list = Array.isArray(given) ? given : typeof given.next === 'function' ? iterable(given) : undefined;
      if (!list) throw new TypeError('write gives a list of [name, text], not ' + JSON.stringify(given));
      for (var part of list) {
        if (!Array.isArray(part) || part.length !== 2) {
          throw new TypeError('write gives a list of [name, text], and in it is ' + JSON.stringify(part));
        }
        emit(part[0], part[1]);
      }
    }

    function iterable(iterator) {
      var made = {};
      made[Symbol.iterator] = function () { return iterator; };
      return made;
    }

    within(emit, function () {
      if (asked.records) asked.records.forEach(function (record) { take(writer.write(record)); });
      else if (typeof writer.close === 'function') names.forEach(function (name) { give(name, writer.close(name)); });
    });
    var state = writer.state === undefined ? null : writer.state;
    return [{ state: state, names: names }].concat(parts);
  };
})
