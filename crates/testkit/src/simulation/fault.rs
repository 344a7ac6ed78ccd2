//! What goes wrong, and how often: each seed draws which kinds of faults there are, and a rate for each.

use fastrand::Rng;

use super::scenario::pick;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The function dies before the call leaves.
    CrashBefore,
    /// The call is made, and the function dies before the answer.
    CrashAfter,
    /// The request is refused.
    Refused,
    /// The request is refused as if its content were at fault; only where it holds several statements.
    RefusedAsContent,
    /// Some statements, keys or updates are refused.
    SomeRefused,
    /// The call is made, and its answer is lost.
    AnswerLost,
    /// The same, for some statements.
    SomeAnswersLost,
    /// The answer is a timeout, and the call is made some time later.
    Delayed,
    /// Nothing is done, and nothing is said for as long as one waits.
    Hangs,
    /// The call takes most of its time.
    Slow,
    /// The call is made, and the function stands still, past its own deadline perhaps.
    Stalls,
    /// The batch is delivered twice at the same time.
    Twin,
    /// Lambda refuses the invocation.
    Throttled,
    /// The function starts anew, and its warm-up fails.
    ColdStart,
}

impl Fault {
    pub const ALL: [Self; 14] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Refused,
        Self::RefusedAsContent,
        Self::SomeRefused,
        Self::AnswerLost,
        Self::SomeAnswersLost,
        Self::Delayed,
        Self::Hangs,
        Self::Slow,
        Self::Stalls,
        Self::Twin,
        Self::Throttled,
        Self::ColdStart,
    ];
    /// Those of a whole invocation; the others are of one call.
    pub const OF_INVOCATIONS: [Self; 3] = [Self::Twin, Self::Throttled, Self::ColdStart];

    pub fn name(self) -> String {
        format!("{self:?}")
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    fn is_of_invocation(self) -> bool {
        Self::OF_INVOCATIONS.contains(&self)
    }
}

/// In a thousand calls, or invocations.
#[derive(Clone, Debug)]
pub struct Rates([u16; Fault::ALL.len()]);

impl Rates {
    pub fn draw(random: &mut Rng) -> Self {
        let mut rates = [0; Fault::ALL.len()];
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
        self.drawn(random, |fault| !fault.is_of_invocation())
    }

    /// What happens to one invocation.
    pub fn of_invocation(&self, random: &mut Rng) -> Option<Fault> {
        self.drawn(random, Fault::is_of_invocation)
    }

    /// A fault of a call that there is, if there is any.
    pub fn one_of_call(&self, random: &mut Rng) -> Option<Fault> {
        let there: Vec<Fault> =
            Fault::ALL.into_iter().filter(|fault| !fault.is_of_invocation() && self.0[*fault as usize] > 0).collect();
        (!there.is_empty()).then(|| *pick(random, &there))
    }

    /// At most one of each kind is drawn for, so rates add up.
    fn drawn(&self, random: &mut Rng, is_asked: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut dice = random.u16(..1_000);
        for fault in Fault::ALL.into_iter().filter(|fault| is_asked(*fault)) {
            let rate = self.0[fault as usize];
            if dice < rate {
                return Some(fault);
            }
            dice -= rate;
        }
        None
    }
}
