// Values of Python in JavaScript. None, bool, str and list are null, booleans, strings and arrays;
// an int is a whole number up to 2^53; a float that is whole is a Float, any other a number.
// What would be different from Python without a word is an error here.

class mr_Float { constructor(v) { this.v = v; } }
class mr_Tuple extends Array {}
// A dict or set: canonical key -> [key, value], in the order of insertion.
class mr_Dict { constructor() { this.m = new Map(); this.frozen = false; } }
class mr_Set { constructor() { this.m = new Map(); this.frozen = false; } }
// What can be gone through once.
class mr_Iter { constructor(name, next) { this.name = name; this.next = next; this.v = null; } }
class mr_Range { constructor(start, stop, step) {
  this.start = start; this.stop = stop; this.step = step;
  this.n = Math.max(0, Math.ceil((stop - start) / step));
} }
// keys(), values() and items() of a dict follow its changes.
class mr_View { constructor(dict, kind) { this.dict = dict; this.kind = kind; } }

var mr_parents = {
  KeyError: 'LookupError', IndexError: 'LookupError', ZeroDivisionError: 'ArithmeticError',
  OverflowError: 'ArithmeticError', UnboundLocalError: 'NameError', RecursionError: 'RuntimeError',
  NotImplementedError: 'RuntimeError', UnicodeError: 'ValueError', JSONDecodeError: 'ValueError',
};
var mr_absent = undefined;

function mr_err(name, message) {
  var e = new Error(message);
  e.name = name;
  e.python = true;
  return e;
}
function mr_throw(name, message) { throw mr_err(name, message); }
// What is not translated ends the function, whatever it catches.
function mr_refuse(message) {
  var e = new Error(message);
  e.name = 'NotTranslated';
  throw e;
}
function mr_raise(e) { throw e; }
function mr_exc(name, args) {
  return mr_err(name, args.length === 0 ? '' : args.length === 1 ? mr_str(args[0])
    : mr_repr(mr_tuple(args)));
}
function mr_catches(e, names) {
  // What the engine throws by itself can be caught only where Python has it too.
  var name = e.python ? e.name : e instanceof RangeError ? 'RecursionError' : '';
  if (name === '') { return false; }
  for (; name; name = mr_parents[name]) {
    if (names.indexOf(name) >= 0) { return true; }
  }
  return names.indexOf('Exception') >= 0;
}
function mr_bound(v, name) {
  if (v === undefined) {
    mr_throw('UnboundLocalError', "local variable '" + name + "' referenced before assignment");
  }
  return v;
}

function mr_type(v) {
  if (v === null) { return 'NoneType'; }
  switch (typeof v) {
    case 'boolean': return 'bool';
    case 'number': return Number.isInteger(v) ? 'int' : 'float';
    case 'string': return 'str';
    case 'function': return 'function';
    case 'undefined': mr_throw('UnboundLocalError', 'a name has no value yet');
  }
  if (v instanceof mr_Tuple) { return 'tuple'; }
  if (Array.isArray(v)) { return 'list'; }
  if (v instanceof mr_Dict) { return 'dict'; }
  if (v instanceof mr_Float) { return 'float'; }
  if (v instanceof mr_Set) { return 'set'; }
  if (v instanceof mr_Range) { return 'range'; }
  if (v instanceof mr_View) { return 'dict_' + v.kind; }
  if (v instanceof mr_Iter) { return v.name; }
  if (v instanceof Error) { return v.name; }
  return 'object';
}
function mr_no_type(what, v) { mr_throw('TypeError', what + ' ' + "'" + mr_type(v) + "'"); }

// A float from a number of JavaScript.
function mr_f(v) { return Number.isInteger(v) ? new mr_Float(v) : v; }
// An int from a whole number.
function mr_i(v) {
  if (!Number.isSafeInteger(v)) {
    mr_refuse('an int beyond 2**53 cannot be held exactly in JavaScript');
  }
  return v === 0 ? 0 : v;
}
function mr_big(v) {
  if (v > 9007199254740991n || v < -9007199254740991n) {
    mr_refuse('an int beyond 2**53 cannot be held exactly in JavaScript');
  }
  return Number(v);
}
function mr_is_float(v) {
  return v instanceof mr_Float || (typeof v === 'number' && !Number.isInteger(v));
}
function mr_is_int(v) {
  return typeof v === 'boolean' || (typeof v === 'number' && Number.isInteger(v));
}
// The number behind a value, or undefined.
function mr_num(v) {
  if (typeof v === 'number') { return v; }
  if (typeof v === 'boolean') { return v ? 1 : 0; }
  return v instanceof mr_Float ? v.v : undefined;
}
function mr_int_of(v, what) {
  if (!mr_is_int(v)) { mr_no_type((what || 'an int is needed') + ', not', v); }
  return Number(v);
}

// Strings of Python have characters, those of JavaScript halves of some.
function mr_wide(s) { return /[\ud800-\udfff]/.test(s); }
function mr_chars(s) { return mr_wide(s) ? Array.from(s) : s; }

function mr_tuple(items) {
  var t = new mr_Tuple();
  for (var i = 0; i < items.length; i++) { t.push(items[i]); }
  return t;
}

// The canonical form of a key: equal keys, and only those, have equal ones.
function mr_hash(k) {
  switch (typeof k) {
    case 'string': return k.charCodeAt(0) === 0 ? '\0s' + k : k;
    case 'number': return k;
    case 'boolean': return k ? 1 : 0;
  }
  if (k === null) { return null; }
  if (k instanceof mr_Float) { return k.v === 0 ? 0 : k.v; }
  if (k instanceof mr_Tuple) {
    return '\0t' + JSON.stringify(Array.prototype.map.call(k, function (one) {
      var h = mr_hash(one);
      return typeof h === 'number' ? ['n', String(h)] : ['s', h];
    }));
  }
  if (Array.isArray(k) || k instanceof mr_Dict || k instanceof mr_Set) {
    mr_throw('TypeError', "unhashable type: '" + mr_type(k) + "'");
  }
  return mr_refuse('a key of type ' + mr_type(k) + ' is not translated');
}
function mr_changes(v) {
  if (v.frozen || Object.isFrozen(v)) {
    mr_throw('TypeError', 'a value from outside of the function is a copy here: it cannot be '
      + 'changed');
  }
}
function mr_put(d, k, v) {
  mr_changes(d);
  var h = mr_hash(k), entry = d.m.get(h);
  if (entry === undefined) { d.m.set(h, [k, v]); } else { entry[1] = v; }
}
function mr_dict(pairs) {
  var d = new mr_Dict();
  for (var i = 0; i < pairs.length; i += 2) { mr_put(d, pairs[i], pairs[i + 1]); }
  return d;
}
function mr_set(items) {
  var s = new mr_Set();
  for (var i = 0; i < items.length; i++) { mr_put_new(s, items[i]); }
  return s;
}
function mr_put_new(s, k) {
  mr_changes(s);
  var h = mr_hash(k);
  if (!s.m.has(h)) { s.m.set(h, [k, true]); }
}
function mr_dict_merged(parts) {
  var d = new mr_Dict();
  parts.forEach(function (part) {
    if (!(part instanceof mr_Dict)) { mr_no_type('** takes a dict, not', part); }
    part.m.forEach(function (e) { mr_put(d, e[0], e[1]); });
  });
  return d;
}

// An iterator over a value: `while (it.more()) it.v`.
function mr_iter(v) {
  if (v instanceof mr_Iter) { return v; }
  var i = 0, items;
  if (Array.isArray(v)) {
    return new mr_Iter('list_iterator', function () {
      if (i >= v.length) { return false; }
      this.v = v[i++];
      return true;
    });
  }
  if (typeof v === 'string') { items = mr_chars(v); return mr_iter_over(items); }
  if (v instanceof mr_Range) {
    return new mr_Iter('range_iterator', function () {
      if (i >= v.n) { return false; }
      this.v = v.start + v.step * i++;
      return true;
    });
  }
  if (v instanceof mr_Dict || v instanceof mr_Set) { return mr_iter_map(v, 'keys'); }
  if (v instanceof mr_View) { return mr_iter_map(v.dict, v.kind); }
  mr_throw('TypeError', "'" + mr_type(v) + "' object is not iterable");
}
function mr_iter_over(items) {
  var i = 0;
  return new mr_Iter('iterator', function () {
    if (i >= items.length) { return false; }
    this.v = items[i++];
    return true;
  });
}
function mr_iter_map(d, kind) {
  var entries = d.m.values(), size = d.m.size;
  return new mr_Iter('dict_iterator', function () {
    if (d.m.size !== size) {
      mr_throw('RuntimeError', 'dictionary or set changed size during iteration');
    }
    var step = entries.next();
    if (step.done) { return false; }
    this.v = kind === 'keys' ? step.value[0] : kind === 'values' ? step.value[1]
      : mr_tuple(step.value);
    return true;
  });
}
function mr_more(it) { return it.next(); }
function mr_array(v) {
  if (Array.isArray(v)) { return Array.prototype.slice.call(v); }
  var out = [], it = mr_iter(v);
  while (it.next()) { out.push(it.v); }
  return out;
}
// slice() and concat() of a Tuple would give a Tuple: a list is made anew.
function mr_list_of(v) {
  var out = [];
  for (var i = 0; i < v.length; i++) { out.push(v[i]); }
  return out;
}

// A comprehension's clause: each item of an iterable, bound as the pattern says, that passes;
// with `inner`, what `body` gives is gone through in its turn.
function mr_gen(source, pattern, pass, body, inner) {
  var it = mr_iter(source), within = null;
  return new mr_Iter('generator', function () {
    for (;;) {
      if (within !== null) {
        if (within.next()) { this.v = within.v; return true; }
        within = null;
      }
      if (!it.next()) { return false; }
      var args = mr_match(pattern, it.v);
      if (pass !== null && !pass.apply(null, args)) { continue; }
      var made = body.apply(null, args);
      if (!inner) { this.v = made; return true; }
      within = made;
    }
  });
}
function mr_match(pattern, v) {
  return pattern === 0 ? [v] : mr_match_all(pattern, mr_unpack(v, pattern.length), []);
}
function mr_match_all(patterns, values, out) {
  for (var i = 0; i < patterns.length; i++) {
    if (patterns[i] === 0) { out.push(values[i]); }
    else { mr_match_all(patterns[i], mr_unpack(values[i], patterns[i].length), out); }
  }
  return out;
}
function mr_unpack(v, n) {
  var it = mr_iter(v), out = [];
  while (it.next()) {
    if (out.length === n) {
      mr_throw('ValueError', 'too many values to unpack (expected ' + n + ')');
    }
    out.push(it.v);
  }
  if (out.length < n) {
    mr_throw('ValueError', 'not enough values to unpack (expected ' + n + ', got ' + out.length
      + ')');
  }
  return out;
}
function mr_unpack_rest(v, before, after) {
  var all = mr_array(v);
  if (all.length < before + after) {
    mr_throw('ValueError', 'not enough values to unpack (expected at least ' + (before + after)
      + ', got ' + all.length + ')');
  }
  var out = [], end = all.length - after, rest = [], i;
  for (i = 0; i < all.length; i++) {
    if (i >= before && i < end) { rest.push(all[i]); } else { out.push(all[i]); }
  }
  out.splice(before, 0, rest);
  return out;
}

// Functions know how many arguments they take.
function mr_def(f, name, least, most) {
  f.py_name = name; f.py_least = least; f.py_most = most;
  return f;
}
function mr_call(f, args) {
  if (typeof f !== 'function') {
    mr_throw('TypeError', "'" + mr_type(f) + "' object is not callable");
  }
  if (args.length < f.py_least || args.length > f.py_most) {
    mr_throw('TypeError', f.py_name + '() takes ' + f.py_least
      + (f.py_most !== f.py_least ? ' to ' + f.py_most : '') + ' positional arguments but '
      + args.length + ' were given');
  }
  return f.apply(null, args);
}
