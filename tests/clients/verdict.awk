# What became of the tests of a client, against what was expected: verdict.awk EXPECTED ENDED.
#
# EXPECTED has a line `NAME: REASON` for each test that fails or is skipped, and comments after `#`.
# ENDED has `ok NAME`, `failed NAME: REASON` and `skipped NAME: REASON`. Whatever is not as expected,
# a test that passes among them, is printed, and the status is 1; but a test whose reason begins with
# "sometimes: " may pass. The last line is the count.

function name_of(line) { return (index(line, ": ") ? substr(line, 1, index(line, ": ") - 1) : line) }
function reason_of(line) { return substr(line, index(line, ": ") + 2) }
function wrong(text) { print "  " text; bad++ }

FILENAME == ARGV[1] {
  if ($0 ~ /^(#|$)/) next
  if (!index($0, ": ")) wrong("no reason is given: " $0)
  expected[name_of($0)] = reason_of($0)
  next
}

{
  how = $1
  line = substr($0, length(how) + 2)
  name = name_of(line)
  if (!(name in ended)) {
    order[++count] = name
    ended[name] = "ok"
  }
  # A test may end twice: then what is worse counts.
  if (how == "failed" || (how == "skipped" && ended[name] == "ok")) {
    ended[name] = how
    why[name] = reason_of(line)
  }
}

END {
  for (at = 1; at <= count; at++) {
    name = order[at]
    how = ended[name]
    total[how]++
    if (how == "ok" && name in expected && expected[name] !~ /^sometimes: /) {
      wrong("passes, though expected to fail (" expected[name] "): " name)
    } else if (how != "ok" && !(name in expected)) {
      wrong(how ": " name ": " why[name])
    }
  }
  for (name in expected) if (!(name in ended)) wrong("did not run: " name)
  printf "  %d tests, %d passed, %d failed, %d skipped", count, total["ok"], total["failed"], total["skipped"]
  printf ": %s\n", bad ? bad " not as expected" : "all as expected"
  exit bad != 0 || !count
}
