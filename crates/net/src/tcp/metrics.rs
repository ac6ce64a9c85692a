//! The figures of a transport.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Handles, looked up once: calls are too many to look them up each time.
pub(super) struct Metrics {
    pub(super) calls: Counter,
    pub(super) errors: Counter,
    pub(super) in_flight: Gauge,
    pub(super) served: Counter,
    pub(super) serving: Gauge,
    pub(super) overloaded: Counter,
    pub(super) sent: Counter,
    pub(super) received: Counter,
    pub(super) streams: Gauge,
    pub(super) connections: Gauge,
    pub(super) refused: Counter,
    pub(super) dials: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        describe_counter!("mapring_net_calls_total", "Calls and streams begun by this node");
        describe_counter!("mapring_net_errors_total", "Calls and openings that failed here");
        describe_gauge!("mapring_net_calls_in_flight", "Calls that wait for their answer");
        describe_counter!("mapring_net_served_calls_total", "Calls and streams begun by peers");
        describe_gauge!(
            "mapring_net_served_calls_in_flight",
            "Calls of peers that are being answered"
        );
        describe_counter!("mapring_net_rejected_calls_total", "Calls refused for being too many");
        describe_counter!("mapring_net_sent_bytes_total", Unit::Bytes, "Sent to peers");
        describe_counter!("mapring_net_received_bytes_total", Unit::Bytes, "Received from peers");
        describe_gauge!(
            "mapring_net_incoming_streams",
            "Streams and large calls that this node reads"
        );
        describe_gauge!("mapring_net_incoming_connections", "Connections accepted from peers");
        describe_counter!("mapring_net_rejected_handshakes_total", "Connections refused here");
        describe_counter!("mapring_net_dials_total", "Connections begun by this node");
        Self {
            calls: counter!("mapring_net_calls_total"),
            errors: counter!("mapring_net_errors_total"),
            in_flight: gauge!("mapring_net_calls_in_flight"),
            served: counter!("mapring_net_served_calls_total"),
            serving: gauge!("mapring_net_served_calls_in_flight"),
            overloaded: counter!("mapring_net_rejected_calls_total"),
            sent: counter!("mapring_net_sent_bytes_total"),
            received: counter!("mapring_net_received_bytes_total"),
            streams: gauge!("mapring_net_incoming_streams"),
            connections: gauge!("mapring_net_incoming_connections"),
            refused: counter!("mapring_net_rejected_handshakes_total"),
            dials: counter!("mapring_net_dials_total"),
        }
    }
}

/// Counts something up, and down again when it is dropped.
pub(super) struct Level(Gauge);

impl Level {
    pub(super) fn raise(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
