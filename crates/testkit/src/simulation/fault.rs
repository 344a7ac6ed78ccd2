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

    /// A fault of a call that there is, if there is any.
    pub fn one_of_call(&self, random: &mut Rng) -> Option<Fault> {
        let there: Vec<Fault> = faults(false).filter(|&fault| self.0[fault as usize] > 0).collect();
        (!there.is_empty()).then(|| *pick(random, &there))
    }

    /// What happens to one invocation, or to one call. At most one of each kind is drawn for, so rates add up.
    pub fn draw_fault(&self, random: &mut Rng, is_of_invocation: bool) -> Option<Fault> {
        let mut dice = random.u16(..1_000);
        for fault in faults(is_of_invocation) {
            let rate = self.0[fault as usize];
            if dice < rate {
                return Some(fault);
            }
            dice -= rate;
        }
        None
    }
}

/// The faults of a whole invocation, or those of one call.
fn faults(are_of_invocation: bool) -> impl Iterator<Item = Fault> {
    let is_of_invocation = |fault| matches!(fault, Fault::Twin | Fault::Throttled | Fault::ColdStart);
    Fault::VARIANTS.iter().copied().filter(move |&fault| is_of_invocation(fault) == are_of_invocation)
}
