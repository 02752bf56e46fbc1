//! Two revisions of one repository, read and compared. Touches no cluster.

use crate::decide::review::review as compare;
use crate::edge::git::ReadRevisionError;
use crate::model::review::Review;
use crate::run::source::DesiredSource;

/// What the change from `base` to `head` would do. `head` is `None` for the configured revision.
///
/// Compared is with the commit where the two parted, as a pull request does: what was merged into the base since then is
/// not this change's affair.
pub fn review(
    source: &mut DesiredSource,
    base: &str,
    head: Option<&str>,
) -> Result<Review, ReadRevisionError> {
    let after = match head {
        Some(head) => std::sync::Arc::new(source.read_at(head)?),
        None => source.read()?,
    };
    let parted = match (&after.source.commit, head) {
        (Some(commit), _) => source.repository().merge_base(base, commit)?,
        (None, _) => None,
    };
    let before = source.read_at(parted.as_deref().unwrap_or(base))?;
    let mut review = compare(&before, &after, jiff::Timestamp::now().as_second());
    review.base.revision = base.to_owned();
    Ok(review)
}
