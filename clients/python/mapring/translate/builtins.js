// Built-in functions, and the methods of list, dict and set.

function mr_b_len(v) { return mr_len(v); }
function mr_b_str(v) { return v === undefined ? '' : mr_str(v); }
function mr_b_repr(v) { return mr_repr(v); }
function mr_b_bool(v) { return v === undefined ? false : mr_t(v); }
function mr_b_abs(v) { return mr_unary(v, 'abs()', Math.abs); }
function mr_b_int(v, base) {
  if (v === undefined) { return 0; }
  if (typeof v === 'string') { return mr_int_text(v, base === undefined ? 10 : mr_int_of(base)); }
  if (base !== undefined) {
    mr_throw('TypeError', "int() can't convert non-string with explicit base");
  }
  var x = mr_num(v);
  if (x === undefined) { mr_no_type("int() argument must be a string or a number, not", v); }
  if (Number.isNaN(x)) { mr_throw('ValueError', 'cannot convert float NaN to integer'); }
  return mr_i(Math.trunc(x));
}
function mr_int_text(s, base) {
  var bad = 'invalid literal for int() with base ' + base + ': ' + mr_quote(s);
  if (base !== 0 && (base < 2 || base > 36)) {
    mr_throw('ValueError', 'int() base must be >= 2 and <= 36, or 0');
  }
  var m = /^([-+]?)(0[xX]_?|0[oO]_?|0[bB]_?)?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/
    .exec(mr_m_strip(s));
  if (m === null && /[^\x00-\x7f]/.test(s) && /\p{Nd}/u.test(s)) {
    mr_refuse('digits that are not ASCII are not translated');
  }
  if (m === null) { mr_throw('ValueError', bad); }
  var digits = m[3], mark = m[2] ? { x: 16, o: 8, b: 2 }[m[2][1].toLowerCase()] : 0;
  if (mark && (base === 0 || base === mark)) { base = mark; }
  else if (mark) { digits = m[2] + digits; }
  if (base === 0) {
    if (/^0[0_]*[1-9]/.test(digits)) { mr_throw('ValueError', bad); }
    base = 10;
  }
  var n = 0n, wide = BigInt(base);
  for (var c of digits.replace(/_/g, '')) {
    var d = parseInt(c, 36);
    if (!(d < base)) { mr_throw('ValueError', bad); }
    n = n * wide + BigInt(d);
  }
  return mr_i(mr_big(m[1] === '-' ? -n : n));
}
function mr_b_float(v) {
  if (v === undefined) { return mr_f(0); }
  if (typeof v === 'string') { return mr_float_of(v); }
  var x = mr_num(v);
  if (x === undefined) { mr_no_type('float() argument must be a string or a number, not', v); }
  return mr_f(x);
}
function mr_float_of(s) {
  var text = mr_m_strip(s);
  var word = /^([-+]?)(inf|infinity|nan)$/i.exec(text);
  if (word) {
    return word[2].toLowerCase() === 'nan' ? NaN : word[1] === '-' ? -Infinity : Infinity;
  }
  if (!/^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][-+]?\d+(?:_\d+)*)?$/
    .test(text)) {
    if (/[^\x00-\x7f]/.test(text) && /\p{Nd}/u.test(text)) {
      mr_refuse('digits that are not ASCII are not translated');
    }
    mr_throw('ValueError', 'could not convert string to float: ' + mr_quote(s));
  }
  return mr_f(Number(text.replace(/_/g, '')));
}
function mr_b_list(v) { return v === undefined ? [] : mr_list_of(mr_array(v)); }
function mr_b_tuple(v) { return v === undefined ? new mr_Tuple() : mr_tuple(mr_array(v)); }
function mr_b_set(v) { return v === undefined ? new mr_Set() : mr_set(mr_array(v)); }
function mr_b_dict(v) {
  var d = new mr_Dict();
  if (v !== undefined) { mr_m_update(d, v); }
  return d;
}
function mr_b_range(a, b, step) {
  var start = b === undefined ? 0 : mr_int_of(a), stop = mr_int_of(b === undefined ? a : b);
  var by = step === undefined ? 1 : mr_int_of(step);
  if (by === 0) { mr_throw('ValueError', 'range() arg 3 must not be zero'); }
  return new mr_Range(start, stop, by);
}
function mr_b_enumerate(v, start) {
  var it = mr_iter(v), n = start === undefined ? 0 : mr_int_of(start);
  return new mr_Iter('enumerate', function () {
    if (!it.next()) { return false; }
    this.v = mr_tuple([n++, it.v]);
    return true;
  });
}
function mr_b_zip(all) {
  var its = all.map(mr_iter);
  return new mr_Iter('zip', function () {
    if (its.length === 0) { return false; }
    var made = new mr_Tuple();
    for (var i = 0; i < its.length; i++) {
      if (!its[i].next()) { return false; }
      made.push(its[i].v);
    }
    this.v = made;
    return true;
  });
}
function mr_b_map(f, all) {
  var its = mr_b_zip(all);
  return new mr_Iter('map', function () {
    if (!its.next()) { return false; }
    this.v = mr_call(f, mr_list_of(its.v));
    return true;
  });
}
function mr_b_filter(f, v) {
  var it = mr_iter(v);
  return new mr_Iter('filter', function () {
    while (it.next()) {
      if (mr_t(f === null ? it.v : mr_call(f, [it.v]))) { this.v = it.v; return true; }
    }
    return false;
  });
}
function mr_b_reversed(v) {
  if (v instanceof mr_Iter || v instanceof mr_Set) {
    mr_throw('TypeError', "'" + mr_type(v) + "' object is not reversible");
  }
  return mr_iter(mr_list_of(mr_array(v)).reverse());
}
// Stable, by the order of Python, with the key of each item taken once.
function mr_sort(items, key, reverse) {
  var made = items.map(function (one) {
    return [key === undefined || key === null ? one : mr_call(key, [one]), one];
  });
  var down = reverse !== undefined && mr_t(reverse);
  made.sort(function (a, b) {
    var order = mr_lt(a[0], b[0]) ? -1 : mr_lt(b[0], a[0]) ? 1 : 0;
    return down ? -order : order;
  });
  return made.map(function (pair) { return pair[1]; });
}
function mr_b_sorted(v, key, reverse) { return mr_sort(mr_list_of(mr_array(v)), key, reverse); }
function mr_most(args, key, missing, better, name) {
  var it = mr_iter(args.length === 1 ? args[0] : args), found, best;
  while (it.next()) {
    var k = key === undefined || key === null ? it.v : mr_call(key, [it.v]);
    if (found === undefined || better(k, best)) { found = it.v; best = k; }
  }
  if (found === undefined) {
    if (missing === undefined) { mr_throw('ValueError', name + '() arg is an empty sequence'); }
    return missing;
  }
  return found;
}
function mr_b_min(args, key, missing) { return mr_most(args, key, missing, mr_lt, 'min'); }
function mr_b_max(args, key, missing) { return mr_most(args, key, missing, mr_gt, 'max'); }
// From 3.12 on Python makes up for what rounding loses of floats; mr_exact_sum says whether the
// Python that runs here does.
function mr_b_sum(v, start) {
  var it = mr_iter(v), total = start === undefined ? 0 : start, lost = 0, floats = false;
  if (typeof total === 'string') { mr_throw('TypeError', "sum() can't sum strings"); }
  while (it.next()) {
    var x = mr_num(it.v), sum = mr_num(total);
    if (mr_exact_sum && (floats || mr_is_float(total)) && mr_is_float(it.v)) {
      var made = sum + x;
      lost += Math.abs(sum) >= Math.abs(x) ? (sum - made) + x : (x - made) + sum;
      total = mr_f(made);
      floats = true;
    } else { total = mr_add(total, it.v); }
  }
  return floats && lost !== 0 && Number.isFinite(lost) ? mr_f(mr_num(total) + lost) : total;
}
function mr_b_any(v) {
  var it = mr_iter(v);
  while (it.next()) { if (mr_t(it.v)) { return true; } }
  return false;
}
function mr_b_all(v) {
  var it = mr_iter(v);
  while (it.next()) { if (!mr_t(it.v)) { return false; } }
  return true;
}
function mr_b_ord(c) {
  if (typeof c !== 'string' || mr_len(c) !== 1) {
    mr_throw('TypeError', 'ord() expected a character');
  }
  return c.codePointAt(0);
}
function mr_b_chr(n) {
  if (mr_int_of(n) < 0 || n > 0x10ffff) {
    mr_throw('ValueError', 'chr() arg not in range(0x110000)');
  }
  if (n >= 0xd800 && n < 0xe000) { mr_refuse('chr() of half of a character'); }
  return String.fromCodePoint(Number(n));
}
function mr_b_divmod(a, b) { return mr_tuple([mr_floordiv(a, b), mr_mod(a, b)]); }
function mr_b_pow(a, b, m) {
  if (m === undefined) { return mr_pow(a, b); }
  var x = BigInt(mr_int_of(a)), y = BigInt(mr_int_of(b)), n = BigInt(mr_int_of(m)), out = 1n;
  if (n === 0n) { mr_throw('ValueError', 'pow() 3rd argument cannot be 0'); }
  if (y < 0n) { mr_refuse('pow() to a negative power is not translated'); }
  for (x %= n; y > 0n; y >>= 1n) {
    if (y & 1n) { out = out * x % n; }
    x = x * x % n;
  }
  out %= n;
  return mr_big(out !== 0n && (out < 0n) !== (n < 0n) ? out + n : out);
}
function mr_based(v, mark, base) {
  var n = mr_int_of(v);
  return (n < 0 ? '-' : '') + mark + Math.abs(n).toString(base);
}
function mr_b_hex(v) { return mr_based(v, '0x', 16); }
function mr_b_oct(v) { return mr_based(v, '0o', 8); }
function mr_b_bin(v) { return mr_based(v, '0b', 2); }
function mr_isinstance(v, names) {
  var name = mr_type(v);
  return names.indexOf(name) >= 0 || (name === 'bool' && names.indexOf('int') >= 0);
}
function mr_callable(v) { return typeof v === 'function'; }

function mr_has(v, method, kinds) {
  for (var i = 0; i < kinds.length; i++) {
    if (kinds[i] === 'list' ? Array.isArray(v) && !(v instanceof mr_Tuple)
      : kinds[i] === 'dict' ? v instanceof mr_Dict
        : kinds[i] === 'set' ? v instanceof mr_Set : v instanceof mr_Tuple) { return v; }
  }
  mr_throw('AttributeError', "'" + mr_type(v) + "' object has no attribute '" + method + "'");
}
function mr_m_append(v, x) {
  mr_has(v, 'append', ['list']);
  mr_changes(v);
  v.push(x);
  return null;
}
function mr_m_extend(v, items) {
  mr_has(v, 'extend', ['list']);
  mr_changes(v);
  var more = mr_array(items);
  for (var i = 0; i < more.length; i++) { v.push(more[i]); }
  return null;
}
function mr_m_insert(v, at, x) {
  mr_has(v, 'insert', ['list']);
  mr_changes(v);
  v.splice(mr_bounds(v.length, mr_int_of(at), null, null)[0], 0, x);
  return null;
}
function mr_m_remove(v, x) {
  mr_has(v, 'remove', ['list', 'set']);
  mr_changes(v);
  if (v instanceof mr_Set) {
    if (!v.m.delete(mr_hash(x))) { mr_throw('KeyError', mr_repr(x)); }
    return null;
  }
  v.splice(mr_m_index(v, x), 1);
  return null;
}
function mr_m_pop(v, at, missing) {
  mr_has(v, 'pop', ['list', 'dict', 'set']);
  mr_changes(v);
  if (v instanceof mr_Dict) {
    var h = mr_hash(at), entry = v.m.get(h);
    if (entry === undefined) {
      if (missing !== undefined) { return missing; }
      mr_throw('KeyError', mr_repr(at));
    }
    v.m.delete(h);
    return entry[1];
  }
  if (v instanceof mr_Set) {
    for (var [first, e] of v.m) { v.m.delete(first); return e[0]; }
    mr_throw('KeyError', 'pop from an empty set');
  }
  if (v.length === 0) { mr_throw('IndexError', 'pop from empty list'); }
  return v.splice(mr_at(at === undefined ? -1 : at, v.length, 'pop'), 1)[0];
}
function mr_m_popitem(d) {
  mr_has(d, 'popitem', ['dict']);
  mr_changes(d);
  var last = Array.from(d.m.keys()).pop();
  if (last === undefined) { mr_throw('KeyError', 'popitem(): dictionary is empty'); }
  var entry = d.m.get(last);
  d.m.delete(last);
  return mr_tuple(entry);
}
function mr_m_index(v, x, start, stop) {
  if (typeof v === 'string') {
    var found = mr_search(v, x, start, stop, false, 'index');
    if (found < 0) { mr_throw('ValueError', 'substring not found'); }
    return found;
  }
  mr_has(v, 'index', ['list', 'tuple']);
  var [from, to] = mr_bounds(v.length, start === undefined ? null : start,
    stop === undefined ? null : stop, null);
  for (var i = from; i < to; i++) { if (mr_eq(v[i], x)) { return i; } }
  mr_throw('ValueError', mr_repr(x) + ' is not in list');
}
function mr_m_count(v, x, start, stop) {
  if (typeof v === 'string') {
    mr_text_arg(x, 'count');
    var at = mr_search(v, x, start, stop, false, 'count');
    if (at < 0) { return 0; }
    var piece = mr_slice(v, start === undefined ? null : start, stop === undefined ? null : stop,
      null);
    return x === '' ? mr_len(piece) + 1 : piece.split(x).length - 1;
  }
  mr_has(v, 'count', ['list', 'tuple']);
  return mr_list_of(v).filter(function (one) { return mr_eq(one, x); }).length;
}
function mr_m_sort(v, key, reverse) {
  mr_has(v, 'sort', ['list']);
  mr_changes(v);
  mr_sort(v, key, reverse).forEach(function (one, i) { v[i] = one; });
  return null;
}
function mr_m_reverse(v) {
  mr_has(v, 'reverse', ['list']);
  mr_changes(v);
  v.reverse();
  return null;
}
function mr_m_clear(v) {
  mr_has(v, 'clear', ['list', 'dict', 'set']);
  mr_changes(v);
  if (Array.isArray(v)) { v.length = 0; } else { v.m.clear(); }
  return null;
}
function mr_m_copy(v) {
  mr_has(v, 'copy', ['list', 'dict', 'set']);
  return Array.isArray(v) ? mr_list_of(v) : v instanceof mr_Dict ? mr_dict_merged([v])
    : mr_keep(v, function () { return true; });
}
function mr_m_get(d, k, missing) {
  var entry = mr_has(d, 'get', ['dict']).m.get(mr_hash(k));
  return entry !== undefined ? entry[1] : missing === undefined ? null : missing;
}
function mr_m_setdefault(d, k, v) {
  mr_has(d, 'setdefault', ['dict']);
  if (!d.m.has(mr_hash(k))) { mr_put(d, k, v === undefined ? null : v); }
  return mr_getitem(d, k);
}
function mr_m_keys(d) { return new mr_View(mr_has(d, 'keys', ['dict']), 'keys'); }
function mr_m_values(d) { return new mr_View(mr_has(d, 'values', ['dict']), 'values'); }
function mr_m_items(d) { return new mr_View(mr_has(d, 'items', ['dict']), 'items'); }
function mr_m_update(d, more) {
  mr_has(d, 'update', ['dict', 'set']);
  mr_changes(d);
  if (d instanceof mr_Set) {
    mr_array(more).forEach(function (one) { mr_put_new(d, one); });
    return null;
  }
  if (more instanceof mr_Dict) {
    more.m.forEach(function (e) { mr_put(d, e[0], e[1]); });
    return null;
  }
  mr_array(more).forEach(function (one) {
    var pair = mr_unpack(one, 2);
    mr_put(d, pair[0], pair[1]);
  });
  return null;
}
function mr_m_add(s, x) {
  mr_put_new(mr_has(s, 'add', ['set']), x);
  return null;
}
function mr_m_discard(s, x) {
  mr_has(s, 'discard', ['set']);
  mr_changes(s);
  s.m.delete(mr_hash(x));
  return null;
}
function mr_as_set(s, method) { return mr_has(s, method, ['set']); }
function mr_m_union(s, more) { return mr_bitor(mr_as_set(s, 'union'), mr_b_set(more)); }
function mr_m_intersection(s, more) {
  return mr_bitand(mr_as_set(s, 'intersection'), mr_b_set(more));
}
function mr_m_difference(s, more) { return mr_sub(mr_as_set(s, 'difference'), mr_b_set(more)); }
function mr_m_symmetric_difference(s, more) {
  return mr_bitxor(mr_as_set(s, 'symmetric_difference'), mr_b_set(more));
}
function mr_m_issubset(s, more) { return mr_subset(mr_as_set(s, 'issubset'), mr_b_set(more)); }
function mr_m_issuperset(s, more) {
  return mr_subset(mr_b_set(more), mr_as_set(s, 'issuperset'));
}
function mr_m_isdisjoint(s, more) {
  return mr_bitand(mr_as_set(s, 'isdisjoint'), mr_b_set(more)).m.size === 0;
}
function mr_m_is_integer(v) {
  if (!mr_is_float(v)) { mr_throw('AttributeError', 'is_integer() is of floats'); }
  return v instanceof mr_Float;
}
