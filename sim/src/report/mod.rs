//! Reports: metrics of passages, series of a day, figures side by side, and one picture.
//!
//! One path for all three origins (recorded, live, twin): each hands over [`Passage`]s and [`crate::bank::Presence`]s, and
//! everything printed or drawn is computed from these alone, so that a difference in a report is a difference in what happened.
//! Nothing here knows routers, plans or policies, or writes a file: [`DayPicture::to_svg`] and [`figures_table`] return text.

mod metrics;
mod picture;
mod series;
mod svg;
mod table;
mod tally;

pub use metrics::{Passage, ServiceLevel, Summary, WaitFigures};
pub use picture::{DayPicture, PictureColumn};
pub use series::{Bin, DaySeries};
pub use table::figures_table;
pub use tally::{Counts, Tally, TallyRecord};

use serde::Serialize;

/// Where passages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The trace.
    Recorded,
    /// A live node.
    Live,
    /// The same deciding code in virtual time.
    Twin,
}

impl Origin {
    /// Its name in English.
    pub fn english(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Live => "live",
            Self::Twin => "twin",
        }
    }

    /// Its name in Chinese.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Recorded => "记录",
            Self::Live => "实时运行",
            Self::Twin => "数字孪生",
        }
    }
}

/// Whose data the bank's days are; to stand on everything made from them.
pub const ACKNOWLEDGEMENT: &str = "Data: call centre of an anonymous bank in Israel, 1999, by courtesy of Avishai Mandelbaum \
     (Technion); documentation: Ilan Guedj and Avishai Mandelbaum, 2000.";

/// The same in Chinese.
pub const ACKNOWLEDGEMENT_ZH: &str = "数据：1999 年以色列某匿名银行呼叫中心；感谢 Avishai Mandelbaum（以色列理工学院）；\
     文档：Ilan Guedj 与 Avishai Mandelbaum，2000。";
