//! G12: calls are bounded, every invocation answers before its deadline, and neither metrics nor items grow with the
//! number of tenants.

use ledger::metric::{Datum, Metric, dimension};

use super::{super::scenario::Function, Expectations, g11_no_values::check_no_value};
use crate::{clause::hold, memory::projections::MemoryProjections, ports::PROJECTION_BYTES_MAX};

/// Calls of one invocation, pauses and all attempts included. A processor that is refused everything makes about seven
/// for a request that it gives up, of which it has one for each group with a large body.
const PROCESSOR_CALLS_MAX: usize = 80;
const PROJECTOR_CALLS_MAX: usize = 400;

impl Expectations {
    /// Metrics were put.
    pub(crate) fn measured(&mut self, data: &[Datum]) {
        let events = data.iter().map(|datum| &datum.sample).filter(|sample| {
            let names: Vec<&str> = sample.dimensions.iter().map(|(name, _)| name.as_str()).collect();
            sample.name == Metric::Events.name() && names == [dimension::STATUS]
        });
        self.measured_events +=
            events.flat_map(|sample| &sample.values).map(|(value, count)| value * *count as f64).sum::<f64>();
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

pub(crate) fn check_calls(of: Function, calls: usize) {
    let calls_max = match of {
        Function::Processor => PROCESSOR_CALLS_MAX,
        Function::Projector => PROJECTOR_CALLS_MAX,
    };
    hold!(G12, calls <= calls_max, "{of:?} makes more than {calls_max} calls");
}

/// An invocation ends, or Lambda ends it. One that stood still is late by no fault of its own.
pub(crate) fn check_deadline(is_in_time: bool, is_stalled: bool) {
    hold!(G12, is_in_time || is_stalled, "an answer comes before the deadline");
}
