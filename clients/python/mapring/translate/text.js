// Text: str, repr, format, and the methods of str.

function mr_str(v) {
  if (typeof v === 'string') { return v; }
  if (v instanceof Error) { return v.message; }
  return mr_repr(v);
}
function mr_repr(v) {
  if (v === null) { return 'None'; }
  switch (typeof v) {
    case 'boolean': return v ? 'True' : 'False';
    case 'string': return mr_quote(v);
    case 'number': return Number.isInteger(v) ? String(v) : mr_float_text(v);
    case 'undefined': mr_type(v);
  }
  if (v instanceof mr_Float) { return mr_float_text(v.v); }
  if (v instanceof mr_Tuple) {
    var items = mr_list_of(v).map(mr_repr);
    return '(' + items.join(', ') + (items.length === 1 ? ',)' : ')');
  }
  if (Array.isArray(v)) { return '[' + v.map(mr_repr).join(', ') + ']'; }
  if (v instanceof mr_Dict) {
    return '{' + Array.from(v.m.values(), function (e) {
      return mr_repr(e[0]) + ': ' + mr_repr(e[1]);
    }).join(', ') + '}';
  }
  if (v instanceof mr_Range) {
    return 'range(' + v.start + ', ' + v.stop + (v.step === 1 ? ')' : ', ' + v.step + ')');
  }
  return mr_refuse('the text of a value of type ' + mr_type(v) + ' is not translated');
}
function mr_quote(s) {
  var quote = s.indexOf("'") >= 0 && s.indexOf('"') < 0 ? '"' : "'";
  var out = quote;
  for (var c of s) {
    var n = c.codePointAt(0);
    if (c === quote || c === '\\') { out += '\\' + c; }
    else if (c === '\n') { out += '\\n'; }
    else if (c === '\r') { out += '\\r'; }
    else if (c === '\t') { out += '\\t'; }
    else if (n < 32 || n === 127) { out += '\\x' + mr_hex(n, 2); }
    else if (n < 127 || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(c)) { out += c; }
    else if (n < 256) { out += '\\x' + mr_hex(n, 2); }
    else if (n < 65536) { out += '\\u' + mr_hex(n, 4); }
    else { out += '\\U' + mr_hex(n, 8); }
  }
  return out + quote;
}
function mr_hex(n, width) { return n.toString(16).padStart(width, '0'); }

// The shortest digits that give the number back, written as Python does.
function mr_float_text(v) {
  if (Number.isNaN(v)) { return 'nan'; }
  if (!Number.isFinite(v)) { return v < 0 ? '-inf' : 'inf'; }
  if (v === 0) { return Object.is(v, -0) ? '-0.0' : '0.0'; }
  var [digits, exponent] = mr_digits(Math.abs(v).toExponential());
  return (v < 0 ? '-' : '') + (exponent < -4 || exponent >= 16 ? mr_scientific(digits, exponent)
    : mr_positional(digits, exponent, true));
}
function mr_digits(text) {
  var at = text.indexOf('e');
  return [text.slice(0, at).replace('.', ''), Number(text.slice(at + 1))];
}
function mr_scientific(digits, exponent) {
  var size = Math.abs(exponent);
  return digits[0] + (digits.length > 1 ? '.' + digits.slice(1) : '') + 'e'
    + (exponent < 0 ? '-' : '+') + (size < 10 ? '0' : '') + size;
}
function mr_positional(digits, exponent, point) {
  if (exponent < 0) { return '0.' + '0'.repeat(-exponent - 1) + digits; }
  if (digits.length <= exponent + 1) {
    return digits + '0'.repeat(exponent + 1 - digits.length) + (point ? '.0' : '');
  }
  return digits.slice(0, exponent + 1) + '.' + digits.slice(exponent + 1);
}

// A finite number, above or equal to zero, times 10^places: rounded exactly, half to even.
function mr_scaled(v, places) {
  var view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, v);
  var high = view.getUint32(0), bits = high >>> 20 & 2047;
  var fraction = BigInt(high & 1048575) * 4294967296n + BigInt(view.getUint32(4));
  var up = bits === 0 ? fraction : fraction + 4503599627370496n;
  var two = (bits === 0 ? 1 : bits) - 1075, down = 1n;
  if (two > 0) { up *= 2n ** BigInt(two); } else { down = 2n ** BigInt(-two); }
  if (places > 0) { up *= 10n ** BigInt(places); } else { down *= 10n ** BigInt(-places); }
  var whole = up / down, twice = (up - whole * down) * 2n;
  return twice > down || (twice === down && whole % 2n === 1n) ? whole + 1n : whole;
}
function mr_fixed(v, places) {
  var text = String(mr_scaled(v, places)).padStart(places + 1, '0');
  return places === 0 ? text
    : text.slice(0, text.length - places) + '.' + text.slice(text.length - places);
}
// So many digits of a number and its exponent.
function mr_rounded(v, count) {
  if (v === 0) { return ['0'.repeat(count), 0]; }
  var exponent = mr_digits(v.toExponential())[1];
  var text = String(mr_scaled(v, count - 1 - exponent));
  if (text.length > count) { exponent += 1; text = text.slice(0, count); }
  return [text, exponent];
}
function mr_b_round(v, places) {
  var x = mr_num(v);
  if (x === undefined) { mr_no_type('round() takes a number, not', v); }
  var n = places === undefined || places === null ? 0 : mr_int_of(places);
  if (mr_is_int(v)) {
    if (n >= 0) { return x; }
    var unit = 10n ** BigInt(-n), size = BigInt(Math.abs(x)), q = size / unit;
    var twice = (size - q * unit) * 2n;
    if (twice > unit || (twice === unit && q % 2n === 1n)) { q += 1n; }
    return mr_big(x < 0 ? -(q * unit) : q * unit);
  }
  if (!Number.isFinite(x)) {
    if (places !== undefined && places !== null) { return x; }
    mr_throw(Number.isNaN(x) ? 'ValueError' : 'OverflowError', 'no int from ' + mr_repr(v));
  }
  if (places === undefined || places === null) {
    var whole = mr_big(mr_scaled(Math.abs(x), 0));
    return x < 0 ? mr_i(-whole) : whole;
  }
  if (n > 323) { return v; }
  var made = n < -308 ? 0 : n > 0 ? Number(mr_fixed(Math.abs(x), n))
    : Number(String(mr_scaled(Math.abs(x), n)) + '0'.repeat(-n));
  return mr_f(x < 0 || Object.is(x, -0) ? -made : made);
}

// format(), f-strings and str.format.
var mr_spec = /^(?:([^])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGosxX%])?$/u;
function mr_b_format(v, spec) {
  if (spec === undefined || spec === '') { return mr_str(v); }
  if (typeof v === 'boolean') { v = Number(v); }
  if (typeof v !== 'string' && mr_num(v) === undefined) {
    mr_throw('TypeError', 'unsupported format string passed to ' + mr_type(v));
  }
  var m = mr_spec.exec(spec);
  if (spec.endsWith('n')) { mr_refuse('the format n is not translated'); }
  if (m === null) { mr_throw('ValueError', 'Invalid format specifier ' + mr_quote(spec)); }
  var kind = m[9] || '', width = m[6] === undefined ? 0 : Number(m[6]);
  var places = m[8] === undefined ? undefined : Number(m[8]);
  var fill = m[1] !== undefined ? m[1] : m[5] ? '0' : ' ';
  if (typeof v === 'string') {
    if (m[3] || m[4] || m[7] || m[2] === '=' || (kind !== '' && kind !== 's')) {
      mr_throw('ValueError', 'Invalid format specifier ' + mr_quote(spec) + ' for a text');
    }
    if (m[5]) { mr_refuse('leading zeros of a text are not translated'); }
    var text = places === undefined ? v : mr_slice(v, null, places, null);
    return mr_pad(text, width, fill, m[2] || '<', '');
  }
  var x = mr_num(v), body;
  if (mr_is_int(v) && (kind === '' || 'bcdoxX'.indexOf(kind) >= 0)) {
    if (places !== undefined) { mr_throw('ValueError', 'Precision not allowed in int format'); }
    if (kind === 'c') { mr_refuse('the format c is not translated: use chr()'); }
    body = mr_format_int(Math.abs(x), kind, m[4], m[7]);
  } else if (kind !== '' && 'bcdoxXs'.indexOf(kind) >= 0) {
    mr_throw('ValueError', "Unknown format code '" + kind + "' for " + mr_type(v));
  } else {
    if (m[4]) { mr_refuse("'#' with floats is not translated"); }
    body = mr_format_float(Math.abs(x), kind, places, m[7]);
  }
  var minus = x < 0 || (Object.is(x, -0) && !mr_is_int(v));
  var sign = minus ? '-' : m[3] === '+' ? '+' : m[3] === ' ' ? ' ' : '';
  var align = m[2] || (m[5] ? '=' : '>');
  if (m[7] && fill === '0' && align === '=' && width > sign.length + body.length) {
    mr_refuse('separators within leading zeros are not translated');
  }
  return mr_pad(body, width, fill, align, sign);
}
function mr_pad(body, width, fill, align, sign) {
  var room = Math.max(0, width - mr_len(body) - sign.length);
  var left = align === '<' ? 0 : align === '^' ? Math.floor(room / 2) : room;
  if (align === '=') { return sign + fill.repeat(room) + body; }
  return fill.repeat(left) + sign + body + fill.repeat(room - left);
}
function mr_groups(digits, separator, size) {
  if (separator === undefined) { return digits; }
  var out = '';
  for (var at = digits.length; at > 0; at -= size) {
    out = digits.slice(Math.max(0, at - size), at) + (out === '' ? '' : separator + out);
  }
  return out;
}
function mr_format_int(size, kind, alternate, separator) {
  if (kind === '' || kind === 'd') { return mr_groups(String(size), separator, 3); }
  if (separator === ',') { mr_throw('ValueError', "Cannot specify ',' with '" + kind + "'."); }
  var base = kind === 'b' ? 2 : kind === 'o' ? 8 : 16;
  var digits = mr_groups(size.toString(base), separator, 4);
  if (kind === 'X') { digits = digits.toUpperCase(); }
  return (alternate ? '0' + kind : '') + digits;
}
function mr_format_float(size, kind, places, separator) {
  if (!Number.isFinite(size)) {
    var word = Number.isNaN(size) ? 'nan' : 'inf';
    if (kind === '%') { word += '%'; }
    return 'EFG'.indexOf(kind) >= 0 && kind !== '' ? word.toUpperCase() : word;
  }
  var made;
  if (kind === 'f' || kind === 'F') { made = mr_fixed(size, places === undefined ? 6 : places); }
  else if (kind === '%') {
    made = mr_fixed(size * 100, places === undefined ? 6 : places) + '%';
  } else if (kind === 'e' || kind === 'E') {
    var [d, e] = mr_rounded(size, (places === undefined ? 6 : places) + 1);
    made = mr_scientific(d, e);
  } else if (kind === '' && places === undefined) {
    made = mr_float_text(size);
  } else {
    var count = Math.max(places === undefined ? 6 : places, 1);
    var [digits, exponent] = mr_rounded(size, count);
    var short = digits.replace(/0+$/, '') || '0';
    // Without a kind there is always a digit behind the point.
    var limit = kind === '' ? count - 1 : count;
    made = exponent < -4 || exponent >= limit
      ? mr_scientific(short, exponent)
      : mr_positional(short, exponent, kind === '');
  }
  if (separator !== undefined) {
    var at = made.search(/[.e%]|$/);
    made = mr_groups(made.slice(0, at), separator, 3) + made.slice(at);
  }
  return 'EG'.indexOf(kind) >= 0 && kind !== '' ? made.toUpperCase() : made;
}
function mr_formatted(v, conversion, spec) {
  if (conversion === 'r') { v = mr_repr(v); } else if (conversion === 's') { v = mr_str(v); }
  return mr_b_format(v, spec);
}
function mr_concat(parts) { return parts.join(''); }
function mr_m_format(s, args, names) {
  mr_text(s, 'format');
  var at = 0, numbered = null;
  return s.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, function (all, field) {
    if (all === '{{') { return '{'; }
    if (all === '}}') { return '}'; }
    var m = field === undefined ? null : /^(\w*)(?:!([rs]))?(?::([^]*))?$/.exec(field);
    if (m === null) {
      mr_refuse('not translated in str.format: ' + mr_quote(all));
    }
    var v;
    if (m[1] === '' || /^\d+$/.test(m[1])) {
      if (numbered !== null && numbered !== (m[1] !== '')) {
        mr_throw('ValueError', 'cannot switch between numbered and automatic fields');
      }
      numbered = m[1] !== '';
      var i = m[1] === '' ? at++ : Number(m[1]);
      if (i >= args.length) { mr_throw('IndexError', 'Replacement index out of range'); }
      v = args[i];
    } else { v = mr_getitem(names, m[1]); }
    return mr_formatted(v, m[2], m[3]);
  });
}
function mr_percent(s, args) {
  var values = args instanceof mr_Tuple ? mr_list_of(args) : [args], at = 0;
  var named = args instanceof mr_Dict;
  var out = s.replace(/%(?:\((\w+)\))?([-+ 0#]*)(\d+)?(?:\.(\d+))?(.|$)/gu,
    function (all, name, flags, width, places, kind) {
      if (kind === '%') { return '%'; }
      if ((name !== undefined) !== named || flags.indexOf('#') >= 0) {
        mr_refuse('not translated in a format with %: ' + mr_quote(all));
      }
      if (name === undefined && at >= values.length) {
        mr_throw('TypeError', 'not enough arguments for format string');
      }
      var v = named ? mr_getitem(args, name) : values[at++], left = flags.indexOf('-') >= 0;
      if (kind === 's' || kind === 'r') {
        v = kind === 'r' ? mr_repr(v) : mr_str(v);
        return mr_b_format(v, (left ? '<' : '>') + (width || '')
          + (places === undefined ? '' : '.' + places));
      }
      if ('dieEfFgGxXo'.indexOf(kind) < 0 || (places !== undefined && 'dixXo'.indexOf(kind) >= 0)) {
        mr_refuse('not translated in a format with %: ' + mr_quote(all));
      }
      if (mr_num(v) === undefined) { mr_no_type('%' + kind + ': a number is required, not', v); }
      if ('xXo'.indexOf(kind) >= 0 && !mr_is_int(v)) {
        mr_no_type('%' + kind + ' format: an integer is required, not', v);
      }
      if ('di'.indexOf(kind) >= 0) { v = mr_b_int(v); kind = 'd'; }
      if ('eEfFgG'.indexOf(kind) >= 0) { v = mr_f(mr_num(v)); }
      var sign = flags.indexOf('+') >= 0 ? '+' : flags.indexOf(' ') >= 0 ? ' ' : '';
      return mr_b_format(v, (left ? '<' : '') + sign + (flags.indexOf('0') >= 0 && !left ? '0' : '')
        + (width || '') + (places === undefined ? '' : '.' + places) + kind);
    });
  if (!named && at < values.length && !(args instanceof mr_Tuple) && (Array.isArray(args)
    || args instanceof mr_Range)) {
    mr_refuse('% with a list is not translated: use a tuple');
  }
  if (!named && at < values.length) {
    mr_throw('TypeError', 'not all arguments converted during string formatting');
  }
  return out;
}

var mr_space = '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005'
  + '\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000';
function mr_text(v, method) {
  if (typeof v !== 'string') {
    mr_throw('AttributeError', "'" + mr_type(v) + "' object has no attribute '" + method + "'");
  }
  return v;
}
function mr_text_arg(v, method) {
  if (typeof v !== 'string') { mr_no_type(method + '() argument must be str, not', v); }
  return v;
}
function mr_trim(s, set, left, right, method) {
  mr_text(s, method);
  set = set === undefined || set === null ? mr_space
    : Array.from(mr_text_arg(set, method));
  var chars = mr_chars(s), from = 0, to = chars.length;
  while (left && from < to && set.indexOf(chars[from]) >= 0) { from++; }
  while (right && to > from && set.indexOf(chars[to - 1]) >= 0) { to--; }
  return typeof chars === 'string' ? chars.slice(from, to) : chars.slice(from, to).join('');
}
function mr_m_strip(s, set) { return mr_trim(s, set, true, true, 'strip'); }
function mr_m_lstrip(s, set) { return mr_trim(s, set, true, false, 'lstrip'); }
function mr_m_rstrip(s, set) { return mr_trim(s, set, false, true, 'rstrip'); }
function mr_m_lower(s) { return mr_text(s, 'lower').toLowerCase(); }
function mr_m_upper(s) { return mr_text(s, 'upper').toUpperCase(); }
// Title case is what JavaScript does not have: it differs from upper case in few characters.
function mr_title_of(c) {
  var up = c.toUpperCase();
  if (up.length !== c.length || /[\u01c4-\u01cc\u01f1-\u01f3\u10d0-\u10ff]/.test(c)) {
    mr_refuse('the title case of ' + mr_quote(c) + ' is not translated');
  }
  return up;
}
// What becomes of this letter depends on its place in the word.
function mr_no_sigma(s) {
  if (s.indexOf('\u03a3') >= 0) { mr_refuse('the case of \u03a3 here is not translated'); }
  return s;
}
function mr_m_capitalize(s) {
  var chars = Array.from(mr_no_sigma(mr_text(s, 'capitalize')));
  return chars.length === 0 ? '' : mr_title_of(chars[0]) + chars.slice(1).join('').toLowerCase();
}
function mr_m_title(s) {
  var after = false, out = '';
  for (var c of mr_no_sigma(mr_text(s, 'title'))) {
    var cased = /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u.test(c);
    out += after ? c.toLowerCase() : cased ? mr_title_of(c) : c;
    after = cased;
  }
  return out;
}
function mr_m_swapcase(s) {
  return Array.from(mr_no_sigma(mr_text(s, 'swapcase')), function (c) {
    return /\p{Uppercase}/u.test(c) ? c.toLowerCase()
      : /\p{Lowercase}/u.test(c) ? c.toUpperCase() : c;
  }).join('');
}
function mr_m_split(s, separator, most) { return mr_splits(s, separator, most, false); }
function mr_m_rsplit(s, separator, most) { return mr_splits(s, separator, most, true); }
function mr_splits(s, separator, most, right) {
  mr_text(s, right ? 'rsplit' : 'split');
  var n = most === undefined ? -1 : mr_int_of(most), out;
  if (separator === undefined || separator === null) { return mr_split_space(s, n, right); }
  if (mr_text_arg(separator, 'split') === '') { mr_throw('ValueError', 'empty separator'); }
  out = s.split(separator);
  if (n < 0 || out.length <= n + 1) { return out; }
  if (!right) { return out.slice(0, n).concat([out.slice(n).join(separator)]); }
  var cut = out.length - n;
  return [out.slice(0, cut).join(separator)].concat(out.slice(cut));
}
var mr_words = /[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;
function mr_split_space(s, n, right) {
  var words = [], found, out = [];
  if (n < 0) { return s.match(mr_words) || []; }
  mr_words.lastIndex = 0;
  while ((found = mr_words.exec(s)) !== null) {
    words.push([found.index, found.index + found[0].length]);
  }
  var first = right ? Math.max(0, words.length - n) : 0;
  var last = right ? words.length : Math.min(n, words.length);
  // What is left over keeps the white space at its far end.
  if (right && first > 0) { out.push(s.slice(0, words[first - 1][1])); }
  for (var i = first; i < last; i++) { out.push(s.slice(words[i][0], words[i][1])); }
  if (!right && last < words.length) { out.push(s.slice(words[last][0])); }
  return out;
}
function mr_m_splitlines(s, keep) {
  var out = mr_text(s, 'splitlines').match(/[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|$)/g);
  out.pop();
  if (keep !== undefined && mr_t(keep)) { return out; }
  return out.map(function (line) {
    return line.replace(/(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])$/, '');
  });
}
function mr_m_join(s, items) {
  return mr_array(items).map(function (one, i) {
    if (typeof one !== 'string') {
      mr_throw('TypeError', 'sequence item ' + i + ': expected str instance, ' + mr_type(one)
        + ' found');
    }
    return one;
  }).join(mr_text(s, 'join'));
}
function mr_affix(s, affix, start, stop, method, test) {
  mr_text(s, method);
  if (start !== undefined) { s = mr_slice(s, start, stop === undefined ? null : stop, null); }
  if (affix instanceof mr_Tuple) {
    return mr_list_of(affix).some(function (one) { return test(s, mr_text_arg(one, method)); });
  }
  return test(s, mr_text_arg(affix, method));
}
function mr_m_startswith(s, affix, start, stop) {
  return mr_affix(s, affix, start, stop, 'startswith', function (a, b) { return a.startsWith(b); });
}
function mr_m_endswith(s, affix, start, stop) {
  return mr_affix(s, affix, start, stop, 'endswith', function (a, b) { return a.endsWith(b); });
}
function mr_m_removeprefix(s, affix) {
  return mr_m_startswith(s, affix) ? s.slice(affix.length) : s;
}
function mr_m_removesuffix(s, affix) {
  return affix !== '' && mr_m_endswith(s, affix) ? s.slice(0, s.length - affix.length) : s;
}
function mr_search(s, part, start, stop, last, method) {
  mr_text(s, method);
  mr_text_arg(part, method);
  var chars = mr_chars(s), n = chars.length;
  var [from, to] = mr_bounds(n, start === undefined ? null : start,
    stop === undefined ? null : stop, null);
  // A start behind the end finds nothing, not even an empty text.
  if (from > to || (start !== undefined && start !== null && Number(start) > n)) { return -1; }
  var piece = mr_slice(s, from, to, null);
  var at = last ? piece.lastIndexOf(part) : piece.indexOf(part);
  return at < 0 ? -1 : from + (typeof chars === 'string' ? at
    : Array.from(piece.slice(0, at)).length);
}
function mr_m_find(s, part, start, stop) { return mr_search(s, part, start, stop, false, 'find'); }
function mr_m_rfind(s, part, start, stop) { return mr_search(s, part, start, stop, true, 'rfind'); }
function mr_m_rindex(s, part, start, stop) {
  var at = mr_search(s, part, start, stop, true, 'rindex');
  if (at < 0) { mr_throw('ValueError', 'substring not found'); }
  return at;
}
function mr_m_replace(s, old, fresh, most) {
  mr_text(s, 'replace');
  mr_text_arg(old, 'replace');
  mr_text_arg(fresh, 'replace');
  var n = most === undefined ? -1 : mr_int_of(most), parts;
  if (old === '') {
    parts = [''].concat(Array.from(s), ['']);
    if (n < 0) { n = parts.length - 1; }
  } else { parts = s.split(old); }
  if (n < 0 || n >= parts.length - 1) { return parts.join(fresh); }
  return parts.slice(0, n + 1).join(fresh) + (n < parts.length - 1
    ? old + parts.slice(n + 1).join(old) : '');
}
function mr_parted(s, separator, last, method) {
  mr_text(s, method);
  if (mr_text_arg(separator, method) === '') { mr_throw('ValueError', 'empty separator'); }
  var at = last ? s.lastIndexOf(separator) : s.indexOf(separator);
  if (at < 0) { return mr_tuple(last ? ['', '', s] : [s, '', '']); }
  return mr_tuple([s.slice(0, at), separator, s.slice(at + separator.length)]);
}
function mr_m_partition(s, separator) { return mr_parted(s, separator, false, 'partition'); }
function mr_m_rpartition(s, separator) { return mr_parted(s, separator, true, 'rpartition'); }
function mr_just(s, width, fill, align, method) {
  mr_text(s, method);
  fill = fill === undefined ? ' ' : mr_text_arg(fill, method);
  if (mr_len(fill) !== 1) {
    mr_throw('TypeError', 'The fill character must be exactly one character long');
  }
  return mr_pad(s, mr_int_of(width), fill, align, '');
}
function mr_m_ljust(s, width, fill) { return mr_just(s, width, fill, '<', 'ljust'); }
function mr_m_rjust(s, width, fill) { return mr_just(s, width, fill, '>', 'rjust'); }
function mr_m_center(s, width, fill) {
  // Python puts the odd one left or right by the width.
  var room = mr_int_of(width) - mr_len(mr_text(s, 'center'));
  if (room <= 0) { return s; }
  var left = Math.floor(room / 2) + (room % 2 === 1 && width % 2 === 1 ? 1 : 0);
  return mr_just(mr_just(s, mr_len(s) + left, fill, '>', 'center'), width, fill, '<', 'center');
}
function mr_m_zfill(s, width) {
  var sign = /^[-+]/.test(mr_text(s, 'zfill')) ? s[0] : '';
  return mr_pad(s.slice(sign.length), mr_int_of(width), '0', '=', sign);
}
function mr_every(s, method, pattern) { return mr_text(s, method) !== '' && pattern.test(s); }
function mr_m_isalpha(s) { return mr_every(s, 'isalpha', /^\p{L}+$/u); }
function mr_m_isalnum(s) { return mr_every(s, 'isalnum', /^[\p{L}\p{N}]+$/u); }
function mr_m_isdecimal(s) { return mr_every(s, 'isdecimal', /^\p{Nd}+$/u); }
function mr_m_isdigit(s) {
  if (/\p{No}/u.test(mr_text(s, 'isdigit'))) {
    mr_refuse('isdigit() of ' + mr_quote(s) + ' is not translated');
  }
  return mr_every(s, 'isdigit', /^\p{Nd}+$/u);
}
function mr_m_isspace(s) {
  return mr_text(s, 'isspace') !== '' && mr_trim(s, null, true, false, 'isspace') === '';
}
function mr_m_isupper(s) {
  return /\p{Uppercase}/u.test(mr_text(s, 'isupper')) && !/[\p{Lowercase}\p{Lt}]/u.test(s);
}
function mr_m_islower(s) {
  return /\p{Lowercase}/u.test(mr_text(s, 'islower')) && !/[\p{Uppercase}\p{Lt}]/u.test(s);
}
