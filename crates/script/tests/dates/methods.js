// What the methods of dates give, a line each: what is called, and its result or the name of its
// error.
(function () {
  var out = [];
  function put(label, call) {
    var result;
    try { result = call(); } catch (error) { result = error.name; }
    out.push(label + ' => ' + (Object.is(result, -0) ? '-0' : String(result)));
  }
  var times = [0, -1, 1305892800123, -62198755200000, 8.64e15, -8.64e15, NaN, 951782400000];
  var getters = (
    'getTime valueOf getFullYear getUTCFullYear getYear getMonth getUTCMonth getDate getUTCDate ' +
    'getDay getUTCDay getHours getUTCHours getMinutes getUTCMinutes getSeconds getUTCSeconds ' +
    'getMilliseconds getUTCMilliseconds getTimezoneOffset toString toDateString toTimeString ' +
    'toUTCString toGMTString toISOString toJSON'
  ).split(' ');
  times.forEach(function (t) {
    getters.forEach(function (g) { put(t + ' ' + g, function () { return new Date(t)[g](); }); });
    put(t + ' concat', function () { return new Date(t) + ''; });
    put(t + ' plus', function () { return +new Date(t); });
    put(t + ' json', function () { return JSON.stringify({d: new Date(t)}); });
    put(t + ' prim', function () {
      return ['number', 'string', 'default'].map(function (hint) {
        return new Date(t)[Symbol.toPrimitive](hint);
      }).join('|');
    });
  });
  var args = [[], [NaN], [0], [-1], [31], [1e300], [null], ['7'], ['x'], [-1.9], [1, NaN],
    [1, 2, 3, 4], [99], [2011, 13, 40]];
  var setters = (
    'setTime setFullYear setUTCFullYear setYear setMonth setUTCMonth setDate setUTCDate ' +
    'setHours setUTCHours setMinutes setUTCMinutes setSeconds setUTCSeconds setMilliseconds ' +
    'setUTCMilliseconds'
  ).split(' ');
  [1305892800123, NaN, 8.64e15].forEach(function (t) {
    setters.forEach(function (s) {
      args.forEach(function (a) {
        put(t + ' ' + s + ' ' + a.map(String), function () {
          var d = new Date(t);
          var r = d[s].apply(d, a);
          return r + '|' + d.getTime();
        });
      });
    });
  });
  var many = [[], [2011], [2011, 4], [99, 0], [100, 0], [0, 0], [-1, 0], [49.9, 0], [2011, 12],
    [2011, -1], [2011, 0, 0], [2011, 1, 31], [2011, 0, 1, 24], [2011, 0, 1, -1], [2011, 0, 1, 0,
    60], [2011, 0, 1, 0, 0, 0, 1000], [2011, 0, 1, 0, 0, 0, 0.9], [2011, NaN], [NaN, 0], [275760,
    8, 13], [275760, 8, 13, 0, 0, 0, 1], [275760, 8, 14], [-271821, 3, 20], [-271821, 3, 19],
    [1e10, 0], [0, 1e10], [2011, 0, 1e15], [1970, 0, 1, 0, 0, 0, 8.64e15], [1970, 0, 1, 0, 0, 0,
    8.64e15 + 1], [1970, 0, 1, 1e20], [Infinity, 0], ['2011', '4'], [null, null], [2011,
    undefined], [2011, 4, 20, 12, 30, 15, 500, 99], [200000, 1e6], [-300000, 7e6]];
  many.forEach(function (a) {
    put('UTC ' + a.map(String), function () { return Date.UTC.apply(Date, a); });
    if (a.length === 0) { return; }
    put('new ' + a.map(String), function () {
      return new (Function.prototype.bind.apply(Date, [null].concat(a)))().getTime();
    });
  });
  put('inv', function () {
    return String(new Date(NaN)) + new Date(NaN).toDateString() + new Date(NaN).toTimeString() +
      new Date(NaN).toUTCString() + JSON.stringify(new Date(NaN));
  });
  put('call', function () {
    return typeof Date() + (Math.abs(Date.parse(Date()) - Date.now()) < 2000);
  });
  put('same', function () { return Date.prototype.toGMTString === Date.prototype.toUTCString; });
  put('toJSON obj', function () {
    return Date.prototype.toJSON.call({toISOString: function () { return 'x'; }});
  });
  put('proto', function () { return Date.prototype.getTime(); });
  put('cmp', function () {
    return [new Date(1) < new Date(2), new Date(5) - new Date(3), new Date(1) == 1].join();
  });
  put('names', function () { return Object.getOwnPropertyNames(Date.prototype).sort().join(); });
  return out;
})
