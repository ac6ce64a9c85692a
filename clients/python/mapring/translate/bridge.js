// What comes in and goes out: JSON, literals of Python, modules.

// A value of JSON as JavaScript has it. Of a number that is whole it is not known whether it had
// a point: it is an int, as long as an int can hold it.
function mr_from(v) {
  if (v === null || typeof v === 'string' || typeof v === 'boolean') { return v; }
  if (typeof v === 'number') {
    return Number.isInteger(v) && !Number.isSafeInteger(v) ? new mr_Float(v) : v === 0 ? 0 : v;
  }
  if (Array.isArray(v)) {
    var list = [];
    for (var i = 0; i < v.length; i++) { list.push(mr_from(v[i])); }
    return list;
  }
  var d = new mr_Dict(), names = Object.keys(v);
  for (var j = 0; j < names.length; j++) { mr_put(d, names[j], mr_from(v[names[j]])); }
  return d;
}
function mr_to(v) {
  if (v === null || typeof v === 'string' || typeof v === 'boolean') { return v; }
  var x = mr_num(v);
  if (x !== undefined) {
    if (!Number.isFinite(x)) {
      mr_throw('ValueError', 'JSON has no ' + mr_repr(v) + ': it cannot leave the function');
    }
    return x;
  }
  if (Array.isArray(v)) {
    var list = [];
    for (var i = 0; i < v.length; i++) { list.push(mr_to(v[i])); }
    return list;
  }
  if (v instanceof mr_Dict) {
    var o = Object.create(null);
    v.m.forEach(function (e) {
      var name = mr_json_name(e[0]);
      if (name in o) {
        mr_throw('ValueError', 'two keys of a dict have the same text: ' + mr_quote(name));
      }
      o[name] = mr_to(e[1]);
    });
    return o;
  }
  return mr_no_type('JSON has nothing for a value of type', v);
}
function mr_json_name(k) {
  if (typeof k === 'string') { return k; }
  if (k === null) { return 'null'; }
  if (typeof k === 'boolean') { return k ? 'true' : 'false'; }
  if (mr_num(k) !== undefined) { return mr_repr(k); }
  return mr_no_type('keys of JSON are not of type', k);
}
function mr_freeze(v) {
  if (Array.isArray(v)) {
    for (var i = 0; i < v.length; i++) { mr_freeze(v[i]); }
    Object.freeze(v);
  } else if (v instanceof mr_Dict || v instanceof mr_Set) {
    v.m.forEach(function (e) { mr_freeze(e[1]); });
    v.frozen = true;
  }
  return v;
}

// A reader of literals: those of Python (`eval`, ast.literal_eval), or JSON.
class mr_Reader {
  constructor(text, json) { this.s = text; this.i = 0; this.json = json; this.depth = 0; }
  fail(what) {
    if (this.json) {
      mr_throw('JSONDecodeError', 'not JSON: ' + what + ' at character ' + this.i);
    }
    mr_refuse('eval() reads literals here: ' + what + ' at character ' + this.i);
  }
  space() {
    var set = this.json ? ' \t\n\r' : ' \t\n\r\f';
    while (this.i < this.s.length && set.indexOf(this.s[this.i]) >= 0) { this.i++; }
  }
  take(c) {
    this.space();
    if (this.s[this.i] !== c) { return false; }
    this.i++;
    return true;
  }
  all() {
    var v = this.value();
    if (!this.json && this.take(',')) { v = this.rest_of_tuple(v, ''); }
    this.space();
    if (this.i < this.s.length) { this.fail('unexpected ' + mr_quote(this.s[this.i])); }
    return v;
  }
  value() {
    this.space();
    if (++this.depth > 500) { mr_throw('RecursionError', 'a literal is nested too deeply'); }
    var c = this.s[this.i], v;
    if (c === '[') { this.i++; v = this.list(); }
    else if (c === '{') { this.i++; v = this.braces(); }
    else if (c === '(' && !this.json) { this.i++; v = this.parens(); }
    else { v = this.atom(); }
    this.depth--;
    return v;
  }
  list() {
    var out = [];
    while (!this.take(']')) {
      if (out.length > 0) { this.comma(); if (!this.json && this.take(']')) { break; } }
      out.push(this.value());
    }
    return out;
  }
  comma() { if (!this.take(',')) { this.fail('a comma is missing'); } }
  parens() {
    if (this.take(')')) { return new mr_Tuple(); }
    var v = this.value();
    if (this.take(')')) { return v; }
    this.comma();
    return this.rest_of_tuple(v, ')');
  }
  rest_of_tuple(first, end) {
    var items = [first];
    for (;;) {
      this.space();
      if (end === '' ? this.i >= this.s.length : this.take(end)) { return mr_tuple(items); }
      if (items.length > 1) { this.comma(); this.space(); }
      if (end === '' ? this.i >= this.s.length : this.take(end)) { return mr_tuple(items); }
      items.push(this.value());
    }
  }
  braces() {
    var d = new mr_Dict(), s = null, n = 0;
    for (; !this.take('}'); n++) {
      if (n > 0) { this.comma(); if (!this.json && this.take('}')) { break; } }
      this.space();
      if (this.json && this.s[this.i] !== '"') { this.fail('a name is missing'); }
      var k = this.value();
      if (n === 0 && !this.json && this.s[(this.space(), this.i)] !== ':') { s = new mr_Set(); }
      if (s !== null) { mr_put_new(s, k); continue; }
      if (!this.take(':')) { this.fail('a colon is missing'); }
      mr_put(d, k, this.value());
    }
    return s !== null ? s : d;
  }
  atom() {
    var rest = /^[-+]?[\w.]+(?:(?<=[eE])[-+]\d[\d_]*)?/.exec(this.s.slice(this.i, this.i + 400));
    var word = rest === null ? '' : rest[0];
    var names = this.json ? { 'null': null, 'true': true, 'false': false, NaN: NaN,
      Infinity: Infinity, '-Infinity': -Infinity }
      : { None: null, True: true, False: false };
    if (Object.hasOwn(names, word)) { this.i += word.length; return names[word]; }
    var c = this.s[this.i];
    if (c === '"' && this.json) { return this.json_text(); }
    if (!this.json && /^(?:[rRuU]?["'])/.test(this.s.slice(this.i, this.i + 2))) {
      return this.text();
    }
    if (!/^[-+]?[.\d]/.test(word)) {
      this.fail(c === undefined ? 'it ends too early' : 'unexpected ' + mr_quote(word || c));
    }
    this.i += word.length;
    return this.number(word);
  }
  number(word) {
    if (this.json ? /^-?(?:0|[1-9]\d*)$/.test(word) : /^[-+]?(?:0[_0]*|[1-9][\d_]*)$/.test(word)) {
      return mr_int_text(word, 10);
    }
    if (!this.json && /^[-+]?0[xXoObB]/.test(word)) { return mr_int_text(word, 0); }
    if (this.json ? !/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(word)
      : !/^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d[\d_]*)?$/.test(word)
        || /^[-+]?\d[\d_]*$/.test(word)) { this.fail('not a number: ' + mr_quote(word)); }
    return mr_float_of(word);
  }
  json_text() {
    var from = this.i++;
    for (; this.s[this.i] !== '"'; this.i++) {
      if (this.i >= this.s.length) { this.fail('a text has no end'); }
      if (this.s[this.i] === '\\') { this.i++; }
      else if (this.s[this.i] < ' ') { this.fail('a control character in a text'); }
    }
    var piece = this.s.slice(from, ++this.i);
    if (!/^"(?:[^\\]|\\["\\\/bfnrt]|\\u[\da-fA-F]{4})*"$/.test(piece)) {
      this.fail('an escape that is none in a text');
    }
    return JSON.parse(piece);
  }
  text() {
    var out = '';
    // Texts beside each other are one.
    for (;;) {
      var m = /^([rRuU]?)("""|'''|"|')/.exec(this.s.slice(this.i, this.i + 4));
      if (m === null) { return out; }
      this.i += m[0].length;
      out += this.quoted(m[2], /[rR]/.test(m[1]));
      this.space();
    }
  }
  quoted(end, raw) {
    var from = this.i;
    while (!this.s.startsWith(end, this.i)) {
      if (this.i >= this.s.length) { this.fail('a text has no end'); }
      if (this.s[this.i] === '\n' && end.length === 1) { this.fail('a text has no end'); }
      this.i += this.s[this.i] === '\\' ? 2 : 1;
    }
    var inside = this.s.slice(from, this.i), reader = this;
    this.i += end.length;
    if (raw) { return inside; }
    return inside.replace(
      /\\(\n|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[^])/g,
      function (all, code) {
        if (/^[xuU]./.test(code)) { return String.fromCodePoint(parseInt(code.slice(1), 16)); }
        if (/^[0-7]/.test(code)) { return String.fromCharCode(parseInt(code, 8)); }
        if (/^[xuUN]/.test(code)) { reader.fail('an escape is not translated: ' + all); }
        var known = { '\n': '', '\\': '\\', "'": "'", '"': '"', a: '\x07', b: '\b', f: '\f',
          n: '\n', r: '\r', t: '\t', v: '\v' };
        return Object.hasOwn(known, code) ? known[code] : all;
      });
  }
}
function mr_literal(text) {
  return new mr_Reader(mr_text_arg(text, 'eval'), false).all();
}
function mr_json_loads(text) {
  return new mr_Reader(mr_text_arg(text, 'json.loads'), true).all();
}
// As json.dumps writes it, with its spaces and escapes.
function mr_json_dumps(v, ascii, sorted) {
  ascii = ascii === undefined || mr_t(ascii);
  sorted = sorted !== undefined && mr_t(sorted);
  function text(s) {
    s = JSON.stringify(s);
    return ascii ? s.replace(/[\x7f-\uffff]/g, function (c) {
      return '\\u' + mr_hex(c.charCodeAt(0), 4);
    }) : s;
  }
  function write(v) {
    if (v === null) { return 'null'; }
    if (typeof v === 'boolean') { return v ? 'true' : 'false'; }
    if (typeof v === 'string') { return text(v); }
    var x = mr_num(v);
    if (x !== undefined) {
      return Number.isNaN(x) ? 'NaN' : Number.isFinite(x) ? mr_repr(v)
        : x < 0 ? '-Infinity' : 'Infinity';
    }
    if (Array.isArray(v)) { return '[' + mr_list_of(v).map(write).join(', ') + ']'; }
    if (!(v instanceof mr_Dict)) {
      mr_throw('TypeError', 'Object of type ' + mr_type(v) + ' is not JSON serializable');
    }
    var entries = Array.from(v.m.values());
    if (sorted) { entries = mr_sort(entries, function (e) { return e[0]; }); }
    return '{' + entries.map(function (e) {
      return text(mr_json_name(e[0])) + ': ' + write(e[1]);
    }).join(', ') + '}';
  }
  return write(v);
}

function mr_math(v, name, f, low, high) {
  var x = mr_num(v);
  if (x === undefined) { mr_no_type('math.' + name + '() must be a real number, not', v); }
  if (x < low || x > high) { mr_throw('ValueError', 'math domain error'); }
  var made = f(x);
  if (!Number.isFinite(made) && Number.isFinite(x)) {
    mr_throw('OverflowError', 'math range error');
  }
  return made;
}
function mr_math_whole(v, name, f) {
  var x = mr_num(v);
  if (Number.isNaN(x)) { mr_throw('ValueError', 'cannot convert float NaN to integer'); }
  return mr_i(mr_math(v, name, f));
}
function mr_math_floor(v) { return mr_math_whole(v, 'floor', Math.floor); }
function mr_math_ceil(v) { return mr_math_whole(v, 'ceil', Math.ceil); }
function mr_math_trunc(v) { return mr_math_whole(v, 'trunc', Math.trunc); }
function mr_math_sqrt(v) { return mr_f(mr_math(v, 'sqrt', Math.sqrt, 0)); }
function mr_math_fabs(v) { return mr_f(mr_math(v, 'fabs', Math.abs)); }
function mr_math_isnan(v) { return Number.isNaN(mr_math_any(v, 'isnan')); }
function mr_math_isinf(v) { return Math.abs(mr_math_any(v, 'isinf')) === Infinity; }
function mr_math_isfinite(v) { return Number.isFinite(mr_math_any(v, 'isfinite')); }
function mr_math_any(v, name) {
  var x = mr_num(v);
  if (x === undefined) { mr_no_type('math.' + name + '() must be a real number, not', v); }
  return x;
}
function mr_math_gcd(a, b) {
  var x = Math.abs(mr_int_of(a)), y = Math.abs(mr_int_of(b));
  while (y !== 0) { [x, y] = [y, x % y]; }
  return x;
}

// The functions that the node calls.
function mr_the_map(f) {
  return function (object) {
    if (object.values.length !== 1) {
      mr_throw('ValueError', 'an object has ' + object.values.length + ' values: merge them first');
    }
    return mr_pairs(mr_call(f, [object.key, object.values[0].data]));
  };
}
// What a map function returns: pairs, beside those that it emits. None stands for nothing, also in
// a list: [emit(word, 1) for word in words] is one.
function mr_pairs(made) {
  if (made === null) { return []; }
  var pairs = typeof made === 'string' || made instanceof mr_Dict || made instanceof mr_Set
    || mr_num(made) !== undefined || typeof made === 'boolean' ? [made] : mr_b_list(made);
  return pairs.filter(function (pair) { return pair !== null; }).map(function (pair) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      mr_throw('TypeError', 'a map function calls emit(key, value), or returns a list of pairs '
        + '(key, value), not ' + mr_repr(made).slice(0, 80));
    }
    return [mr_to(pair[0]), mr_to(pair[1])];
  });
}
function mr_the_reduce(f, as_text) {
  return function (key, values) {
    var made = mr_call(f, [mr_from(key), mr_from(values)]);
    return made === null ? [] : [[key, as_text ? mr_str(made) : mr_to(made)]];
  };
}
function mr_the_combine(f) {
  return function (key, fresh, old) {
    return mr_to(mr_b_list(mr_call(f, [mr_from(key), mr_from(fresh), mr_from(old)])));
  };
}
function mr_emit(key, value) {
  emit(mr_to(key), mr_to(value));
  return null;
}
