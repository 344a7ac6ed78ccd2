//! G12: calls are bounded, every invocation answers before its deadline, and neither metrics nor items grow with the
//! number of tenants.

use ledger::{
    metric::{Datum, Metric, dimension},
    projection::Verdict,
};

use super::{super::scenario::Function, Expectations, Progress, g11_no_values::check_no_value};
use crate::{clause::hold, memory::projections::MemoryProjections, ports::PROJECTION_BYTES_MAX};

/// Calls of one invocation, pauses and all attempts included. A processor that is refused everything makes about seven
/// for a request that it gives up, of which it has one for each group with a large body.
const PROCESSOR_CALLS_MAX: usize = 80;
const PROJECTOR_CALLS_MAX: usize = 400;
/// A tick reads 64 partitions.
const TICK_CALLS_MAX: usize = 1_000;

impl Expectations {
    /// Metrics were put.
    pub(crate) fn measured(&mut self, data: &[Datum], progress: &mut Progress) {
        for sample in data.iter().map(|datum| &datum.sample).filter(|sample| sample.name == Metric::Events.name()) {
            let [(name, status)] = sample.dimensions.as_slice() else { continue };
            if name == dimension::STATUS {
                let entries = sample.values.iter().map(|(value, count)| *value as u64 * count).sum();
                progress.measure(Verdict::parse(status).expect("a status"), entries);
            }
        }
        for (name, value) in data.iter().flat_map(|datum| &datum.sample.dimensions) {
            check_no_value("a dimension", value);
            if name == dimension::TENANT_ID {
                self.metric_tenants.insert(value.clone());
            }
        }
    }

    /// All has come to rest.
    pub(crate) fn check_bounds(&self, metric_places_max: usize, projections: &MemoryProjections) {
        let tenants = self.metric_tenants.len();
        hold!(G12, tenants <= metric_places_max + 1, "{tenants} tenants have a metric dimension");
        let bytes = projections.item_bytes_max;
        hold!(G12, bytes <= PROJECTION_BYTES_MAX, "an item of the projections has {bytes} bytes");
    }
}

pub(crate) fn check_calls(of: Function, is_tick: bool, calls: usize) {
    let calls_max = match of {
        Function::Processor => PROCESSOR_CALLS_MAX,
        Function::Projector if is_tick => TICK_CALLS_MAX,
        Function::Projector => PROJECTOR_CALLS_MAX,
    };
    hold!(G12, calls <= calls_max, "{of:?} makes more than {calls_max} calls");
}

/// An invocation ends, or Lambda ends it. One that stood still is late by no fault of its own.
pub(crate) fn check_deadline(is_in_time: bool, is_stalled: bool) {
    hold!(G12, is_in_time || is_stalled, "an answer comes before the deadline");
}
