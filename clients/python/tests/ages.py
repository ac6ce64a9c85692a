"""Counts ages."""

import os

from mapring import *

conn = connect(os.environ.get("NODE", "http://localhost:8098"))

conn.hset('myInput', 1, "{'name': 'Chad', 'age': 43}")
conn.hset('myInput', 2, "{'name': 'Ron', 'age': 21}")
conn.hset('myInput', 3, "{'name': 'George', 'age': 54}")
conn.hset('myInput', 4, "{'name': 'Alice', 'age': 54}")

def myMap(key, value):
    obj = eval(value)
    emit(str(obj['age']), '1')

def myReduce(key, vals):
    total = 0
    for v in vals:
        total += int(v)
    return total

result = map_reduce(conn, myMap, myReduce, inKey='myInput')
print(result)
