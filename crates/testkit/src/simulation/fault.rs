//! What goes wrong, and how often: each seed draws which kinds of faults there are, and a rate for each.

use fastrand::Rng;
use strum::VariantArray as _;

use super::scenario::pick;
use crate::ports::Fault;

/// In a thousand calls, or invocations.
#[derive(Clone, Debug)]
pub struct Rates([u16; Fault::VARIANTS.len()]);

impl Rates {
    pub fn draw(random: &mut Rng) -> Self {
        let mut rates = [0; Fault::VARIANTS.len()];
        for rate in &mut rates {
            if random.bool() {
                *rate = *pick(random, &[5, 20, 60, 150]);
            }
        }
        // One at least that any call can meet.
        let always = *pick(random, &[Fault::CrashBefore, Fault::CrashAfter, Fault::Refused, Fault::AnswerLost]);
        rates[always as usize] = rates[always as usize].max(5);
        Self(rates)
    }

    pub fn turn_off(&mut self, fault: Fault) {
        self.0[fault as usize] = 0;
    }

    /// What happens to one call.
    pub fn of_call(&self, random: &mut Rng) -> Option<Fault> {
        self.drawn(random, |fault| !is_of_invocation(fault))
    }

    /// What happens to one invocation.
    pub fn of_invocation(&self, random: &mut Rng) -> Option<Fault> {
        self.drawn(random, is_of_invocation)
    }

    /// A fault of a call that there is, if there is any.
    pub fn one_of_call(&self, random: &mut Rng) -> Option<Fault> {
        let there: Vec<Fault> = Fault::VARIANTS
            .iter()
            .copied()
            .filter(|&fault| !is_of_invocation(fault) && self.0[fault as usize] > 0)
            .collect();
        (!there.is_empty()).then(|| *pick(random, &there))
    }

    /// At most one of each kind is drawn for, so rates add up.
    fn drawn(&self, random: &mut Rng, is_asked: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut dice = random.u16(..1_000);
        for fault in Fault::VARIANTS.iter().copied().filter(|fault| is_asked(*fault)) {
            let rate = self.0[fault as usize];
            if dice < rate {
                return Some(fault);
            }
            dice -= rate;
        }
        None
    }
}

/// Whether it is a fault of a whole invocation; the others are of one call.
fn is_of_invocation(fault: Fault) -> bool {
    matches!(fault, Fault::Twin | Fault::Throttled | Fault::ColdStart)
}
