//! A compensated sum: the rounding of each addition is kept and added at the end.
//!
//! For sums inside one replication, where the order of terms is fixed anyway. Sums that are merged from shards are
//! [`super::ExactSum`]s. Source: A. Neumaier, ZAMM 54 (1974) 39-51.

/// A running sum with an error of about one rounding of the result, whatever the number of terms, while they do not cancel to less
/// than 10⁻¹⁶ of their absolute sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    /// Adds a term.
    pub fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += if libm::fabs(self.sum) >= libm::fabs(term) { (self.sum - sum) + term } else { (term - sum) + self.sum };
        self.sum = sum;
    }

    /// The sum.
    pub fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        for term in terms {
            sum.add(term);
        }
        sum
    }
}
