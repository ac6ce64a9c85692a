// Calls a map function with the object form of an input. The literals give every object the same
// shape, which makes construction and property access fast.
(function () {
  var apply = Reflect.apply;

  return function (call, self, type, bucket, key, vclock, contentType, tag, modified, links, meta, index, data, keyData, arg) {
    var value = {
      bucket_type: type,
      bucket: bucket,
      key: key,
      vclock: vclock,
      values: [{
        metadata: {
          'content-type': contentType,
          'X-Riak-VTag': tag,
          'X-Riak-Last-Modified': modified,
          Links: links || [],
          'X-Riak-Meta': meta || {},
          index: index || []
        },
        data: data
      }]
    };
    return self === undefined ? call(value, keyData, arg) : apply(call, self, [value, keyData, arg]);
  };
})()
