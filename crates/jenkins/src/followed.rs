//! Builds that a run follows though another one of ours started them: the one that did must not stop them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Jenkins;

/// How many follow each build.
pub(super) type Followed = Arc<Mutex<BTreeMap<u64, usize>>>;

/// While it lives, the build is followed by one more.
#[derive(Debug)]
pub struct Following {
    followed: Followed,
    number: u64,
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = followed.get_mut(&self.number) {
            *count -= 1;
            if *count == 0 {
                followed.remove(&self.number);
            }
        }
    }
}

impl Jenkins {
    /// Follows a build that one did not start oneself, until what it gives is dropped.
    pub fn follow(&self, number: u64) -> Following {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default() += 1;
        Following { followed: Arc::clone(&self.followed), number }
    }

    /// Whether somebody in this process follows a build that they did not start.
    pub fn is_followed(&self, number: u64) -> bool {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&number)
    }
}
