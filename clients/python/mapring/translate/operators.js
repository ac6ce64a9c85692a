// Operators: truth, comparison, arithmetic, indexing.

function mr_t(v) {
  switch (typeof v) {
    case 'boolean': return v;
    case 'number': return v !== 0;
    case 'string': return v.length > 0;
    case 'function': return true;
    case 'undefined': mr_type(v);
  }
  if (v === null) { return false; }
  if (Array.isArray(v)) { return v.length > 0; }
  if (v instanceof mr_Dict || v instanceof mr_Set) { return v.m.size > 0; }
  if (v instanceof mr_Float) { return v.v !== 0; }
  if (v instanceof mr_Range) { return v.n > 0; }
  if (v instanceof mr_View) { return v.dict.m.size > 0; }
  return true;
}
function mr_or(a, b) { return mr_t(a) ? a : b(); }
function mr_and(a, b) { return mr_t(a) ? b() : a; }

function mr_eq(a, b) {
  if (a === b) { return true; }
  var x = mr_num(a);
  if (x !== undefined) { return x === mr_num(b); }
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || (a instanceof mr_Tuple) !== (b instanceof mr_Tuple)
        || a.length !== b.length) { return false; }
    for (var i = 0; i < a.length; i++) { if (!mr_eq(a[i], b[i])) { return false; } }
    return true;
  }
  if (a instanceof mr_Dict || a instanceof mr_Set) {
    if (a.constructor !== b?.constructor || a.m.size !== b.m.size) { return false; }
    for (var [h, e] of a.m) {
      var other = b.m.get(h);
      if (other === undefined || !mr_eq(e[1], other[1])) { return false; }
    }
    return true;
  }
  if (a instanceof mr_Range && b instanceof mr_Range) { return mr_eq(mr_array(a), mr_array(b)); }
  if (a instanceof mr_View) { mr_refuse('== of keys, values or items: make lists of them'); }
  return false;
}
function mr_ne(a, b) { return !mr_eq(a, b); }
// Identity of what is neither a singleton nor a container is left to the interpreter in Python.
function mr_is(a, b) {
  if (a === null || b === null || typeof a === 'boolean' || typeof b === 'boolean') {
    return a === b;
  }
  if (typeof a === 'object' && typeof b === 'object' && !(a instanceof mr_Float)) {
    return a === b;
  }
  mr_refuse("'is' with a number or text means nothing certain in Python: write ==");
}
function mr_is_not(a, b) { return !mr_is(a, b); }

// -1, 0, 1; NaN where one of the numbers is none.
function mr_cmp(a, b, sign) {
  if (typeof a === 'string' && typeof b === 'string') {
    if (mr_wide(a) || mr_wide(b)) {
      return mr_cmp_lists(Array.from(a, mr_ord_of), Array.from(b, mr_ord_of), sign);
    }
    return a < b ? -1 : a > b ? 1 : 0;
  }
  var x = mr_num(a), y = mr_num(b);
  if (x !== undefined && y !== undefined) {
    return x < y ? -1 : x > y ? 1 : x === y ? 0 : NaN;
  }
  if (Array.isArray(a) && Array.isArray(b)
      && (a instanceof mr_Tuple) === (b instanceof mr_Tuple)) {
    return mr_cmp_lists(a, b, sign);
  }
  mr_throw('TypeError', "'" + sign + "' not supported between instances of '" + mr_type(a)
    + "' and '" + mr_type(b) + "'");
}
function mr_ord_of(c) { return c.codePointAt(0); }
function mr_cmp_lists(a, b, sign) {
  for (var i = 0; i < a.length && i < b.length; i++) {
    if (!mr_eq(a[i], b[i])) { return mr_cmp(a[i], b[i], sign); }
  }
  return a.length - b.length;
}
function mr_subset(a, b) {
  for (var h of a.m.keys()) { if (!b.m.has(h)) { return false; } }
  return true;
}
function mr_sets(a, b) { return a instanceof mr_Set && b instanceof mr_Set; }
function mr_lt(a, b) {
  if (mr_sets(a, b)) { return a.m.size < b.m.size && mr_subset(a, b); }
  return mr_cmp(a, b, '<') < 0;
}
function mr_le(a, b) { return mr_sets(a, b) ? mr_subset(a, b) : mr_cmp(a, b, '<=') <= 0; }
function mr_gt(a, b) {
  if (mr_sets(a, b)) { return b.m.size < a.m.size && mr_subset(b, a); }
  return mr_cmp(a, b, '>') > 0;
}
function mr_ge(a, b) { return mr_sets(a, b) ? mr_subset(b, a) : mr_cmp(a, b, '>=') >= 0; }
function mr_in(a, b) {
  if (typeof b === 'string') {
    if (typeof a !== 'string') {
      mr_no_type("'in <string>' requires string as left operand, not", a);
    }
    return b.indexOf(a) >= 0;
  }
  if (b instanceof mr_Dict || b instanceof mr_Set) { return b.m.has(mr_hash(a)); }
  if (b instanceof mr_View && b.kind === 'keys') { return b.dict.m.has(mr_hash(a)); }
  var it = mr_iter(b);
  while (it.next()) { if (mr_eq(a, it.v)) { return true; } }
  return false;
}
function mr_not_in(a, b) { return !mr_in(a, b); }
function mr_chain(signs, left, rest) {
  var a = left;
  for (var i = 0; i < signs.length; i++) {
    var b = rest[i]();
    if (!signs[i](a, b)) { return false; }
    a = b;
  }
  return true;
}

function mr_bad(sign, a, b) {
  mr_throw('TypeError', 'unsupported operand type(s) for ' + sign + ": '" + mr_type(a) + "' and '"
    + mr_type(b) + "'");
}
function mr_add(a, b) {
  if (typeof a === 'number' && typeof b === 'number') {
    var s = a + b;
    if (Number.isInteger(a) && Number.isInteger(b)) { return mr_i(s); }
    return mr_f(s);
  }
  if (typeof a === 'string' && typeof b === 'string') { return a + b; }
  if (Array.isArray(a) && Array.isArray(b)
      && (a instanceof mr_Tuple) === (b instanceof mr_Tuple)) {
    var out = a instanceof mr_Tuple ? new mr_Tuple() : [], i;
    for (i = 0; i < a.length; i++) { out.push(a[i]); }
    for (i = 0; i < b.length; i++) { out.push(b[i]); }
    return out;
  }
  return mr_arith(a, b, '+', function (x, y) { return x + y; });
}
function mr_arith(a, b, sign, op) {
  var x = mr_num(a), y = mr_num(b);
  if (x === undefined || y === undefined) { mr_bad(sign, a, b); }
  var made = op(x, y);
  return mr_is_int(a) && mr_is_int(b) ? mr_i(made) : mr_f(made);
}
function mr_sub(a, b) {
  if (mr_sets(a, b)) { return mr_keep(a, function (h) { return !b.m.has(h); }); }
  return mr_arith(a, b, '-', function (x, y) { return x - y; });
}
function mr_keep(s, pass) {
  var out = new mr_Set();
  s.m.forEach(function (e, h) { if (pass(h)) { out.m.set(h, e); } });
  return out;
}
function mr_mul(a, b) {
  if (mr_is_int(a) && (typeof b === 'string' || Array.isArray(b))) { return mr_repeat(b, a); }
  if (mr_is_int(b) && (typeof a === 'string' || Array.isArray(a))) { return mr_repeat(a, b); }
  return mr_arith(a, b, '*', function (x, y) { return x * y; });
}
function mr_repeat(v, n) {
  n = Math.max(0, Number(n));
  if (typeof v === 'string') { return v.repeat(n); }
  var out = v instanceof mr_Tuple ? new mr_Tuple() : [];
  while (n-- > 0) { for (var i = 0; i < v.length; i++) { out.push(v[i]); } }
  return out;
}
function mr_div(a, b) {
  var x = mr_num(a), y = mr_num(b);
  if (x === undefined || y === undefined) { mr_bad('/', a, b); }
  if (y === 0) { mr_throw('ZeroDivisionError', 'division by zero'); }
  return mr_f(x / y);
}
// The remainder has the sign of the divisor.
function mr_rest(x, y) {
  var r = x % y;
  if (r !== 0 && (r < 0) !== (y < 0)) { r += y; }
  return r === 0 ? (y < 0 || Object.is(y, -0) ? -0 : 0) : r;
}
function mr_mod(a, b) {
  if (typeof a === 'string') { return mr_percent(a, b); }
  if (mr_num(b) === 0 && mr_num(a) !== undefined) {
    mr_throw('ZeroDivisionError', 'integer modulo by zero');
  }
  return mr_arith(a, b, '%', mr_rest);
}
function mr_floordiv(a, b) {
  if (mr_num(b) === 0 && mr_num(a) !== undefined) {
    mr_throw('ZeroDivisionError', 'integer division or modulo by zero');
  }
  var whole = mr_is_int(a) && mr_is_int(b);
  return mr_arith(a, b, '//', whole ? mr_floor_ints : mr_floor_floats);
}
function mr_floor_ints(x, y) {
  if (Math.abs(x) < 4503599627370496 && Math.abs(y) < 4503599627370496) {
    return (x - mr_rest(x, y)) / y;
  }
  return Number((BigInt(x) - BigInt(mr_rest(x, y))) / BigInt(y));
}
function mr_floor_floats(x, y) {
  var rest = x % y, q = (x - rest) / y;
  if (rest !== 0 && (y < 0) !== (rest < 0)) { q -= 1; }
  if (q === 0) { return x / y < 0 || Object.is(x / y, -0) ? -0 : 0; }
  var f = Math.floor(q);
  return q - f > 0.5 ? f + 1 : f;
}
function mr_pow(a, b) {
  var x = mr_num(a), y = mr_num(b);
  if (x === undefined || y === undefined) { mr_bad('** or pow()', a, b); }
  if (mr_is_int(a) && mr_is_int(b) && y >= 0) {
    if (Math.abs(x) > 1 && y > 53) { return mr_i(Infinity); }
    return Math.abs(x) > 1 ? mr_big(BigInt(x) ** BigInt(y)) : x === -1 && y % 2 === 0 ? 1
      : y === 0 ? 1 : x;
  }
  if (x === 0 && y < 0) {
    mr_throw('ZeroDivisionError', '0.0 cannot be raised to a negative power');
  }
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y)) {
    mr_refuse('a complex number cannot be held in JavaScript');
  }
  // JavaScript has NaN for these, the C library 1.
  if (x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y))) { return mr_f(1); }
  var made = Math.pow(x, y);
  if (!Number.isFinite(made) && Number.isFinite(x) && Number.isFinite(y)) {
    mr_throw('OverflowError', 'Numerical result out of range');
  }
  return mr_f(made);
}
function mr_bits(a, b, sign, op) {
  if (!mr_is_int(a) || !mr_is_int(b)) { mr_bad(sign, a, b); }
  var made = mr_big(op(BigInt(Number(a)), BigInt(Number(b))));
  return typeof a === 'boolean' && typeof b === 'boolean' && sign.length === 1 ? made === 1 : made;
}
function mr_bitand(a, b) {
  if (mr_sets(a, b)) { return mr_keep(a, function (h) { return b.m.has(h); }); }
  return mr_bits(a, b, '&', function (x, y) { return x & y; });
}
function mr_bitor(a, b) {
  if (mr_sets(a, b)) {
    var out = mr_keep(a, function () { return true; });
    b.m.forEach(function (e, h) { if (!out.m.has(h)) { out.m.set(h, e); } });
    return out;
  }
  if (a instanceof mr_Dict && b instanceof mr_Dict) { return mr_dict_merged([a, b]); }
  return mr_bits(a, b, '|', function (x, y) { return x | y; });
}
function mr_bitxor(a, b) {
  if (mr_sets(a, b)) { return mr_bitor(mr_sub(a, b), mr_sub(b, a)); }
  return mr_bits(a, b, '^', function (x, y) { return x ^ y; });
}
function mr_shift(a, b, sign, op) {
  if (!mr_is_int(a) || !mr_is_int(b)) { mr_bad(sign, a, b); }
  if (b < 0) { mr_throw('ValueError', 'negative shift count'); }
  if (b > 64 && sign === '<<' && Number(a) !== 0) { return mr_i(Infinity); }
  return mr_bits(a, b, sign, op);
}
function mr_lshift(a, b) { return mr_shift(a, b, '<<', function (x, y) { return x << y; }); }
function mr_rshift(a, b) { return mr_shift(a, b, '>>', function (x, y) { return x >> y; }); }
function mr_unary(a, sign, op) {
  var x = mr_num(a);
  if (x === undefined) { mr_no_type('bad operand type for unary ' + sign + ':', a); }
  return mr_is_int(a) ? mr_i(op(x)) : mr_f(op(x));
}
function mr_neg(a) { return mr_unary(a, '-', function (x) { return -x; }); }
function mr_pos(a) { return mr_unary(a, '+', function (x) { return x; }); }
function mr_invert(a) { return mr_i(-mr_int_of(a, 'bad operand type for unary ~') - 1); }
// `+=` and its kind change a list, a set or a dict where it is.
function mr_iadd(a, b) {
  if (!Array.isArray(a) || a instanceof mr_Tuple) { return mr_add(a, b); }
  mr_m_extend(a, b);
  return a;
}
function mr_iinto(a, made) {
  if (!(a instanceof mr_Set) && !(a instanceof mr_Dict)) { return made; }
  mr_changes(a);
  a.m = made.m;
  return a;
}
function mr_imul(a, b) {
  var made = mr_mul(a, b);
  if (!Array.isArray(a) || a instanceof mr_Tuple) { return made; }
  mr_changes(a);
  a.length = 0;
  for (var i = 0; i < made.length; i++) { a.push(made[i]); }
  return a;
}

function mr_len(v) {
  if (typeof v === 'string') { return mr_wide(v) ? Array.from(v).length : v.length; }
  if (Array.isArray(v)) { return v.length; }
  if (v instanceof mr_Dict || v instanceof mr_Set) { return v.m.size; }
  if (v instanceof mr_Range) { return v.n; }
  if (v instanceof mr_View) { return v.dict.m.size; }
  mr_throw('TypeError', "object of type '" + mr_type(v) + "' has no len()");
}
function mr_at(i, n, what) {
  var at = mr_int_of(i, what + ' indices must be integers');
  if (at < 0) { at += n; }
  if (at < 0 || at >= n) { mr_throw('IndexError', what + ' index out of range'); }
  return at;
}
function mr_getitem(v, k) {
  if (v instanceof mr_Dict) {
    var entry = v.m.get(mr_hash(k));
    if (entry === undefined) { mr_throw('KeyError', mr_repr(k)); }
    return entry[1];
  }
  if (Array.isArray(v)) { return v[mr_at(k, v.length, mr_type(v))]; }
  if (typeof v === 'string') {
    var chars = mr_chars(v);
    return chars[mr_at(k, chars.length, 'string')];
  }
  if (v instanceof mr_Range) { return v.start + v.step * mr_at(k, v.n, 'range object'); }
  mr_throw('TypeError', "'" + mr_type(v) + "' object is not subscriptable");
}
function mr_setitem(v, k, x) {
  if (v instanceof mr_Dict) { mr_put(v, k, x); }
  else if (Array.isArray(v) && !(v instanceof mr_Tuple)) {
    mr_changes(v);
    v[mr_at(k, v.length, 'list assignment')] = x;
  } else {
    mr_throw('TypeError', "'" + mr_type(v) + "' object does not support item assignment");
  }
}
function mr_delitem(v, k) {
  if (v instanceof mr_Dict) { mr_m_pop(v, k); }
  else if (Array.isArray(v) && !(v instanceof mr_Tuple)) {
    mr_changes(v);
    v.splice(mr_at(k, v.length, 'list assignment'), 1);
  } else {
    mr_throw('TypeError', "'" + mr_type(v) + "' object doesn't support item deletion");
  }
}
function mr_bounds(n, start, stop, step) {
  step = step === null ? 1 : mr_int_of(step, 'slice indices must be integers or None');
  if (step === 0) { mr_throw('ValueError', 'slice step cannot be zero'); }
  var low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
  function clamp(at, missing) {
    if (at === null) { return missing; }
    at = mr_int_of(at, 'slice indices must be integers or None');
    if (at < 0) { at += n; }
    return Math.min(Math.max(at, low), high);
  }
  return [clamp(start, step < 0 ? high : low), clamp(stop, step < 0 ? low : high), step];
}
function mr_slice(v, start, stop, step) {
  var chars = typeof v === 'string' ? mr_chars(v) : v;
  if (typeof v !== 'string' && !Array.isArray(v)) {
    if (v instanceof mr_Range) { mr_refuse('a slice of a range: make a list of it'); }
    mr_throw('TypeError', "'" + mr_type(v) + "' object is not subscriptable");
  }
  var [from, to, by] = mr_bounds(chars.length, start, stop, step);
  if (typeof chars === 'string' && by === 1) { return chars.slice(from, Math.max(from, to)); }
  var out = v instanceof mr_Tuple ? new mr_Tuple() : [];
  for (var i = from; by > 0 ? i < to : i > to; i += by) { out.push(chars[i]); }
  return typeof v === 'string' ? out.join('') : out;
}
