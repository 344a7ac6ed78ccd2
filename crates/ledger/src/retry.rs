//! Waiting within the time that an invocation has: one way for all Lambdas.

use crate::ports::Clock;

/// The moment by which the calls of an invocation must have ended.
#[derive(Clone, Copy, Debug)]
pub struct Deadline<'c, C> {
    pub clock: &'c C,
    pub at_ms: u64,
    /// A call is not worth starting with less time than this.
    pub call_ms_min: u64,
}

/// Full jitter: a random pause below a bound that doubles with each attempt, from the first to the last.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first_ms: u64,
    pub last_ms: u64,
}

impl<C: Clock> Deadline<'_, C> {
    /// The time for one more call, where it is enough for one.
    pub fn budget_ms(&self) -> Option<u64> {
        let left_ms = self.at_ms.saturating_sub(self.clock.now_ms());
        (left_ms >= self.call_ms_min).then_some(left_ms)
    }

    /// Waits before attempt number `attempt`; number 0 is the first and needs no pause. Returns false, at once, where no
    /// time for a call would be left.
    pub async fn wait(&self, backoff: Backoff, attempt: u32) -> bool {
        let Some(left_ms) = self.budget_ms() else { return false };
        if attempt > 0 {
            let pause_ms = self.clock.random_below(backoff.bound_ms(attempt));
            if left_ms < pause_ms + self.call_ms_min {
                return false;
            }
            self.clock.sleep_ms(pause_ms).await;
        }
        self.budget_ms().is_some()
    }
}

impl Backoff {
    fn bound_ms(self, attempt: u32) -> u64 {
        let doublings = (attempt - 1).min(u64::BITS / 2);
        self.first_ms.saturating_mul(1 << doublings).min(self.last_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::atomic::{AtomicU64, Ordering},
        task::{Context, Poll, Waker},
    };

    use super::*;

    const BACKOFF: Backoff = Backoff { first_ms: 50, last_ms: 1_000 };

    /// Sleeps at once, and draws the longest pause there can be.
    struct TestClock(AtomicU64);

    impl Clock for TestClock {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        async fn sleep_ms(&self, ms: u64) {
            self.0.fetch_add(ms, Ordering::Relaxed);
        }

        fn random_below(&self, bound: u64) -> u64 {
            bound - 1
        }
    }

    fn wait(clock: &TestClock, at_ms: u64, attempt: u32) -> bool {
        let deadline = Deadline { clock, at_ms, call_ms_min: 100 };
        match pin!(deadline.wait(BACKOFF, attempt)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(is_in_time) => is_in_time,
            Poll::Pending => unreachable!("this clock sleeps at once"),
        }
    }

    #[test]
    fn the_bound_of_a_pause_doubles_from_the_first_to_the_last() {
        let bounds: Vec<u64> = (1..=7).map(|attempt| BACKOFF.bound_ms(attempt)).collect();
        assert_eq!(bounds, [50, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(BACKOFF.bound_ms(u32::MAX), 1_000);
    }

    #[test]
    fn the_first_attempt_does_not_wait() {
        let clock = TestClock(AtomicU64::new(0));
        assert!(wait(&clock, 100, 0));
        assert_eq!(clock.now_ms(), 0);
    }

    #[test]
    fn nobody_waits_where_no_time_for_a_call_would_be_left() {
        let clock = TestClock(AtomicU64::new(0));
        assert!(!wait(&clock, 148, 1), "49 ms of pause and 100 ms of a call end at 149");
        assert_eq!(clock.now_ms(), 0);
        assert!(wait(&clock, 149, 1));
        assert_eq!(clock.now_ms(), 49);
        assert!(!wait(&clock, 148, 0), "99 ms are left");
    }
}
