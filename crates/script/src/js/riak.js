// The library of named functions: names and behaviour are Riak's (fact R75).
var RiakHelper = {
  numericSorter: function (first, second) {
    return first - second;
  }
};

var Riak = (function () {
  var parse = JSON.parse;

  function isMissing(value) {
    return value.not_found !== undefined;
  }

  function fold(values, better) {
    var best = values[0];
    for (var at = 1; at < values.length; at++) {
      best = better(best, values[at]) ? best : values[at];
    }
    return values.length === 0 ? [] : [best];
  }

  var riak = {
    getClassName: function (object) {
      if (object && object.constructor && object.constructor.toString) {
        var found = /function\s*(\w+)/.exec(object.constructor.toString());
        if (found) {
          return found[1];
        }
      }
      return undefined;
    },

    filterNotFound: function (values) {
      var kept = [];
      for (var at = 0; at < values.length; at++) {
        if (typeof values[at] !== 'object' || values[at].not_found === undefined) {
          kept.push(values[at]);
        }
      }
      return kept;
    },

    mapValues: function (value, keyData, arg) {
      if (isMissing(value)) {
        return [value];
      }
      var data = value.values[0].data;
      return Array.isArray(data) ? data : [data];
    },

    mapValuesJson: function (value, keyData, arg) {
      if (isMissing(value)) {
        return [value];
      }
      return riak.mapValues(value, keyData, arg).map(function (text) {
        return parse(text);
      });
    },

    mapByFields: function (value, keyData, fields) {
      if (isMissing(value)) {
        return [];
      }
      var object = riak.mapValuesJson(value, keyData, fields)[0];
      for (var field in fields) {
        if (object[field] != fields[field]) {
          return [];
        }
      }
      return [object];
    },

    reduceSum: function (values, arg) {
      var found = riak.filterNotFound(values);
      if (found.length === 0) {
        return [0];
      }
      var sum = found[0];
      for (var at = 1; at < found.length; at++) {
        sum = sum + found[at];
      }
      return [sum];
    },

    reduceMin: function (values, arg) {
      return fold(values, function (best, next) {
        return best < next;
      });
    },

    reduceMax: function (values, arg) {
      return fold(values, function (best, next) {
        return best > next;
      });
    },

    reduceNumericSort: function (values, arg) {
      return values.sort(RiakHelper.numericSorter);
    },

    reduceLimit: function (values, arg) {
      return values.slice(0, arg - 1);
    },

    reduceSlice: function (values, arg) {
      var start = arg[0];
      var end = arg[1];
      return end > values.length ? values : values.slice(start, end);
    }
  };

  return riak;
})();

// The argument is the text of a comparator; a bare function expression is no statement, hence what
// stands before it. Whatever goes wrong, the list comes back in its default order. Stands outside so
// that the text sees globals only.
Riak.reduceSort = function (values, arg) {
  try {
    var comparator = arg;
    if (typeof arg === 'string') {
      try {
        comparator = (0, eval)(__mapring_evaluated('0,\n' + arg));
      } catch (error) {
        comparator = (0, eval)(__mapring_evaluated(arg));
      }
    }
    return values.sort(comparator);
  } catch (error) {
    return values.sort();
  }
};
