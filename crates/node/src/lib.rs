//! Configuration, telemetry, assembly, start and stop of a node.
