"""Every bound of the client, with its reason."""

#: Seconds for a request when nothing else is said: what a node takes for its own default.
TIMEOUT = 60.0

#: Seconds that a client waits longer than the node may take, so that the node's own answer,
#: which says more than a broken connection, arrives first.
GRACE = 5.0

#: Seconds for a connection to be made before the next node is tried.
CONNECT_TIMEOUT = 5.0

#: Seconds without a byte of a stream after which its node counts as gone: nodes tell their
#: progress about every second.
SILENCE = 30.0

#: Seconds for which a node that could not be reached is asked last.
REST = 5.0

#: Idle connections that are kept for a node. More threads than this work as well; what they
#: open beyond it is closed again.
IDLE_CONNECTIONS = 8

#: Seconds after which an idle connection is not trusted any more.
IDLE_SECONDS = 30.0

#: Bytes of a value that is read: the most that a node gives out, with room for its headers.
OBJECT_BYTES = 256 * 1024 * 1024

#: Bytes of an answer that is read as a whole. Larger ones are for streams.
ANSWER_BYTES = 256 * 1024 * 1024

#: Bytes of one line of a stream: a call's largest result is 16 MB, and JSON may write a byte of
#: it with six.
LINE_BYTES = 128 * 1024 * 1024

#: Bytes of the text of an error that are kept.
ERROR_BYTES = 1024 * 1024

#: Bytes that are read from a listing at a time.
READ_BYTES = 64 * 1024

#: Seconds between two looks at a job that is waited for.
ASK_EVERY = 0.5

#: Seconds for which no node may answer while something is waited for: longer than a cluster takes
#: to be started again.
PATIENCE = 60.0

#: Outputs of a query that are read back with one query.
OUTPUTS_AT_ONCE = 1000

#: Rows that become a data frame unless more are asked for.
FRAME_ROWS = 10_000_000

#: Characters of a value from outside of a translated function, which goes with each query.
CAPTURED = 1_000_000
