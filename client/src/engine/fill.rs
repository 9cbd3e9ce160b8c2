//! Filling gaps: what the person looks at first, then the newest page of each circle by unread, then the rest, in the
//! background and resumable after a crash (design section 6).

use std::time::Duration;

use circles_protocol::{
    Change, CircleId, Scope,
    api::{CircleState, Me, MessagesPage},
};
use futures::FutureExt;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Engine, another_history,
    rests::{self, Rests},
};
use crate::{
    backoff::Backoff,
    cache::{
        Durability,
        apply::{Apply, Touched},
        history, ledger, set_aside,
        views::{self, Eyes},
    },
    coverage::Stretch,
    error::ClientError,
    limits::{FILL_PAGE, FILL_PAGE_MIN, FILL_PAGE_SOON, FIRST_PAGE, GIVE_WAY_EVERY},
};

/// A page of `GET /v1/changes` whose changes are read one by one: one that is not understood must not hide the others.
#[derive(Deserialize)]
struct Page {
    epoch: circles_protocol::Epoch,
    after: circles_protocol::Pos,
    until: circles_protocol::Pos,
    changes: Vec<Box<RawValue>>,
}

/// How it goes: which scopes rest after a failure, since when one has looked through them all, and how much is asked for at
/// once.
struct Tempo {
    rests: Rests<Scope>,
    begun: Instant,
    page: u32,
}

impl Tempo {
    fn new() -> Self {
        Self { rests: Rests::default(), begun: Instant::now(), page: FILL_PAGE }
    }

    /// What became of one scope. An error that is of it alone lets it rest, and the others go on.
    fn of(&mut self, scope: Scope, done: Result<(), ClientError>) -> Result<(), ClientError> {
        let Err(error) = done else { return Ok(()) };
        let least = error.retry_after_s().map_or(Duration::ZERO, Duration::from_secs);
        if !error.is_of_one() || !self.rests.failed(scope, Instant::now(), least) {
            return Err(error);
        }
        tracing::debug!(%error, %scope, "its gaps stay for now");
        Ok(())
    }

    fn rests(&self, scope: Scope) -> bool {
        self.rests.rests(scope, Instant::now())
    }

    /// A page came, after this long: over slow Wi-Fi the next one is not larger.
    fn came(&mut self, took: Duration) {
        if took < FILL_PAGE_SOON {
            self.page = (self.page * 2).min(FILL_PAGE);
        }
    }

    /// A page did not come in time.
    fn was_late(&mut self) {
        self.page = (self.page / 2).max(FILL_PAGE_MIN);
    }
}

impl Engine {
    /// Fills gaps whenever there may be some.
    pub(super) async fn fill_gaps(self) {
        let mut backoff = Backoff::default();
        let mut tempo = Tempo::new();
        loop {
            tokio::select! {
                () = self.0.signals.fill.notified() => {}
                () = rests::at(tempo.rests.first_until(tempo.begun)) => {}
            }
            while let Err(error) = self.fill_once(&mut tempo).await {
                if error.signed_out() {
                    break;
                }
                tracing::debug!(%error, "gaps stay for now");
                let wait = backoff.next(rand::random());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.0.signals.online.notified() => {}
                }
            }
            backoff.reset();
        }
    }

    async fn fill_once(&self, tempo: &mut Tempo) -> Result<(), ClientError> {
        tempo.begun = Instant::now();
        let (asked, taken) = self.state(|it| (it.heads_asked, it.heads_taken));
        if asked != taken {
            self.take_heads(asked > 1).await?;
            self.count(|it| it.heads_taken = asked);
        }
        self.name_circles(tempo).await?;
        if let Some(circle) = self.state(|it| it.focus)
            && !tempo.rests(Scope::Circle(circle))
        {
            // One may look at a circle that one is not in any more: nothing else waits for that.
            let seen = unless_out(self.newest_page(circle).await).map(drop);
            tempo.of(Scope::Circle(circle), seen)?;
        }
        // The newest page of each scope first, then everything: a person may open any circle.
        for pages in [Some(1), None] {
            for scope in self.scopes().await? {
                if !tempo.rests(scope) {
                    let filled = self.fill_scope(scope, pages, tempo).await;
                    tempo.of(scope, filled)?;
                }
            }
        }
        self.settle().await?;
        self.count_missing().await
    }

    /// Compares what was held of a history before with the present one.
    async fn settle(&self) -> Result<(), ClientError> {
        let (eyes, now) = (self.eyes(), self.now());
        if self.0.cache.read(move |conn| Ok(history::to_settle(conn, eyes)?)).await?.is_empty() {
            return Ok(());
        }
        let write = self.0.cache.write(Durability::Outbox, move |conn| history::settle(conn, eyes, now));
        let timelines = write.await?;
        if !timelines.is_empty() {
            self.wrote(Touched { timelines, campus: true, ..Touched::default() });
        }
        Ok(())
    }

    /// Asks for the circles, their heads and read markers as of now; `again` if something happened since the start.
    async fn take_heads(&self, again: bool) -> Result<(), ClientError> {
        let me: Me = self.api().get("v1/me").await?;
        self.apply(move |apply| heads(apply, &me, again)).await?;
        self.count_missing().await
    }

    /// The name of a private circle that one was brought into lies in its history: it is asked for.
    async fn name_circles(&self, tempo: &mut Tempo) -> Result<(), ClientError> {
        let eyes = self.eyes();
        let unknown = self.0.cache.read(move |conn| Ok(views::joined_unknown(conn, eyes)?)).await?;
        for circle in unknown {
            if !tempo.rests(Scope::Circle(circle)) {
                let named = self.name_circle(circle).await;
                tempo.of(Scope::Circle(circle), named)?;
            }
        }
        Ok(())
    }

    async fn name_circle(&self, circle: CircleId) -> Result<(), ClientError> {
        let path = format!("v1/circles/{circle}");
        let state = async { unless_out(self.api().get::<CircleState>(&path).await) };
        self.ask(state.boxed(), |apply, state| state.iter().try_for_each(|it| Ok(apply.circle_state(it)?))).await
    }

    /// The last messages of a circle, if they are not held: on screen before anything else.
    pub(crate) async fn newest_page(&self, circle: CircleId) -> Result<(), ClientError> {
        let eyes = self.eyes();
        let held = self
            .0
            .cache
            .read(move |conn| {
                let view = views::timeline(conn, eyes, circle, &crate::view::Anchor::Latest, FIRST_PAGE)?;
                Ok(view.to < view.from || view.messages.last().and_then(|it| it.seq) == Some(view.to))
            })
            .await?;
        if held { Ok(()) } else { self.messages(circle, &format!("limit={FIRST_PAGE}")).await }
    }

    /// A page of messages by `seq`.
    pub(crate) async fn messages(&self, circle: CircleId, query: &str) -> Result<(), ClientError> {
        let path = format!("v1/circles/{circle}/messages?{query}");
        self.ask(self.api().get(&path).boxed(), move |apply, page: MessagesPage| {
            apply.touched.timelines.insert(circle);
            Ok(apply.messages_page(circle, &page)?)
        })
        .await
    }

    /// The scopes with gaps: people first, so that messages have names; then the circle in focus, then by unread.
    async fn scopes(&self) -> Result<Vec<Scope>, ClientError> {
        let eyes = self.eyes();
        let focus = self.state(|it| it.focus);
        self.0
            .cache
            .read(move |conn| {
                let has_gaps = |scope| Ok::<_, ClientError>(!ledger::gaps(conn, eyes.campus, scope)?.is_empty());
                let mut circles = Vec::new();
                for id in views::joined(conn, eyes)? {
                    if has_gaps(Scope::Circle(id))? {
                        circles.extend(views::circle(conn, eyes, id)?);
                    }
                }
                circles.sort_by_key(|it| (Some(it.id) != focus, std::cmp::Reverse(it.unread)));
                let mut with_gaps = Vec::new();
                for scope in [Scope::Campus, Scope::Person(eyes.me)] {
                    if has_gaps(scope)? {
                        with_gaps.push(scope);
                    }
                }
                with_gaps.extend(circles.into_iter().map(|it| Scope::Circle(it.id)));
                Ok(with_gaps)
            })
            .await
    }

    /// Fills the gaps of one scope, newest first, `pages` at the most. The next page is fetched while one is stored.
    async fn fill_scope(&self, scope: Scope, pages: Option<u32>, tempo: &mut Tempo) -> Result<(), ClientError> {
        let Some(mut gap) = self.newest_gap(scope).await? else { return Ok(()) };
        let mut page = match self.page(scope, gap, tempo).await {
            // The membership change says so, or the heads do: they are asked for at once.
            Err(error) if error.is_out() => {
                self.count(|it| it.heads_asked += 1);
                self.0.signals.fill.notify_one();
                return Err(error);
            }
            page => page?,
        };
        let mut done = 1;
        loop {
            let rest = Stretch::new(gap.after, page.after);
            if let Some(rest) = rest.filter(|_| pages.is_none_or(|most| done < most)) {
                let (stored, next) = tokio::join!(self.store(scope, page), self.page(scope, rest, tempo));
                stored?;
                tempo.rests.succeeded(scope);
                (gap, page) = (rest, next?);
            } else {
                self.store(scope, page).await?;
                tempo.rests.succeeded(scope);
                if pages.is_some_and(|most| done >= most) {
                    return Ok(());
                }
                let Some(next) = self.newest_gap(scope).await? else { return Ok(()) };
                (gap, page) = (next, self.page(scope, next, tempo).await?);
            }
            done += 1;
            self.count_missing().await?;
        }
    }

    async fn newest_gap(&self, scope: Scope) -> Result<Option<Stretch>, ClientError> {
        let campus = self.0.campus;
        self.0.cache.read(move |conn| Ok(ledger::gaps(conn, campus, scope)?.pop())).await
    }

    async fn page(&self, scope: Scope, gap: Stretch, tempo: &mut Tempo) -> Result<Page, ClientError> {
        self.0.cache.given_way().await;
        let (Stretch { after, until }, limit, begun) = (gap, tempo.page, Instant::now());
        let path = format!("v1/changes?scope={scope}&after={after}&until={until}&order=newest&limit={limit}");
        let page: Result<Page, ClientError> = self.api().get(&path).await;
        match &page {
            Ok(_) => tempo.came(begun.elapsed()),
            Err(ClientError::Late) => tempo.was_late(),
            Err(_) => {}
        }
        // One that leaves the end of the gap open would be asked for again without a pause.
        let page = page?;
        if page.until < until || page.after >= until { Err(ClientError::NotARelay) } else { Ok(page) }
    }

    /// Stores a page together with what it covers, in one transaction: a crash neither loses nor invents a gap.
    async fn store(&self, scope: Scope, page: Page) -> Result<(), ClientError> {
        let (eyes, cache) = (self.eyes(), self.0.cache.clone());
        let touched = self
            .0
            .cache
            .write_behind(Durability::Cache, move |conn| {
                let mut apply = Apply::new(conn, eyes.campus, eyes.me);
                if apply.epoch()?.is_none_or(|it| it != page.epoch) {
                    return Err(another_history());
                }
                for (n, raw) in page.changes.iter().enumerate() {
                    if n % GIVE_WAY_EVERY == 0 {
                        cache.give_way();
                    }
                    match serde_json::from_str::<Change>(raw.get()) {
                        Ok(change) => apply.entity(&change.entity)?,
                        Err(error) => {
                            set_aside::keep(conn, eyes.campus, "change", raw.get(), &error.to_string())?;
                            set_aside::note(conn, eyes.campus, scope, page.after, page.until)?;
                        }
                    }
                }
                apply.cover(scope, page.after, page.until)?;
                if let Scope::Circle(circle) = scope {
                    apply.touched.timelines.insert(circle);
                }
                Ok(apply.finish()?)
            })
            .await?;
        self.touched(touched);
        Ok(())
    }

    /// Tells how much is still missing.
    async fn count_missing(&self) -> Result<(), ClientError> {
        let eyes = self.eyes();
        let missing = self.0.cache.read(move |conn| Ok(missing(conn, eyes)?)).await?;
        self.count(|it| it.missing = missing);
        Ok(())
    }
}

/// The heads as the relay states them. Of the scopes beside circles it states none: `again`, after an event that was not
/// understood and may have been of any scope, they count as reaching to where the answer is from (design 3.4).
fn heads(apply: &mut Apply<'_>, me: &Me, again: bool) -> Result<(), ClientError> {
    if apply.epoch()?.is_some_and(|it| it != me.cursor.epoch) {
        return Err(another_history());
    }
    apply.entity(&circles_protocol::Entity::Person(me.person.clone()))?;
    for state in &me.circles {
        apply.circle_state(state)?;
    }
    if again {
        apply.reach_beside_circles(me.cursor.pos)?;
    }
    let listed: Vec<CircleId> = me.circles.iter().map(|it| it.circle.id).collect();
    Ok(apply.leave_unlisted(&listed, &me.cursor)?)
}

/// None if one is not a member of the circle any more, or there is no such circle.
fn unless_out<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(error) if error.is_out() => Ok(None),
        other => other.map(Some),
    }
}

/// How much the ledger knows to be missing of all that one follows.
pub fn missing(conn: &Connection, eyes: Eyes) -> rusqlite::Result<u64> {
    let circles = views::joined(conn, eyes)?.into_iter().map(Scope::Circle);
    ledger::missing(conn, eyes.campus, circles.chain([Scope::Campus, Scope::Person(eyes.me)]))
}

#[cfg(test)]
mod tests;
