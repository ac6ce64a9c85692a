# Reads tasks from standard input and prints what each took, without the start of Spark.
import json
import re
import sys
import time
from operator import add

from pyspark import SparkConf, SparkContext

cores = int(sys.argv[1])
conf = SparkConf().setMaster(f"local[{cores}]").setAppName("mapring-bench")
conf.set("spark.ui.enabled", "false").set("spark.driver.memory", "4g")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
conf.set("spark.driver.maxResultSize", "4g")
context = SparkContext(conf=conf)
context.parallelize(range(1000), cores).map(lambda n: (n % 3, n)).reduceByKey(add).collect()
print("ready", flush=True)


def words(lines):
    return lines.flatMap(lambda text: re.findall(r"\w+", text.lower())).map(lambda word: (word, 1))


def field(lines, name):
    return lines.map(json.loads).map(lambda document: (document[name], document["n"]))


for line in sys.stdin:
    task = json.loads(line)
    began = time.perf_counter()
    lines = context.textFile(task["file"], cores)
    pairs = words(lines) if task["field"] is None else field(lines, task["field"])
    found = pairs.reduceByKey(add).collect()
    seconds = time.perf_counter() - began
    told = {"seconds": seconds, "keys": len(found), "sum": sum(number for _, number in found)}
    print(json.dumps(told), flush=True)
