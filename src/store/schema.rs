//! The schema of `antihate_leaf`: numbered steps, applied once each under one advisory lock.

use super::StoreError;
use chrono::{Days, NaiveDate};
use tokio_postgres::Client;

/// Days behind and ahead of today that have a partition of their own; everything else lies in the default partition.
const BEHIND: u64 = 3;
const AHEAD: u64 = 7;

/// Key of the advisory lock; any number that nobody else uses.
const LOCK: i64 = 0x616e_7469_6861_7465;

/// The steps; a step is never changed after a release, only followed by another.
const STEPS: [&str; 1] = [r#"
CREATE TABLE post (
  day date NOT NULL,
  key text NOT NULL,
  platform text NOT NULL,
  id text NOT NULL,
  url text,
  author text,
  lang text,
  text text NOT NULL,
  published_at timestamptz NOT NULL,
  observed_at timestamptz NOT NULL,
  geography text NOT NULL,
  label text NOT NULL CHECK (label IN ('none', 'offensive', 'hate')),
  p_none real NOT NULL,
  p_offensive real NOT NULL,
  p_hate real NOT NULL,
  model text NOT NULL,
  analyzed_at timestamptz NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (day, key)
) PARTITION BY RANGE (day);
CREATE INDEX post_stored ON post USING brin (stored_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE TABLE post_default PARTITION OF post DEFAULT;
CREATE TABLE quarantine (
  topic text NOT NULL,
  partition int NOT NULL,
  "offset" bigint NOT NULL,
  reason text NOT NULL,
  raw bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, partition, "offset")
);
CREATE TABLE consumed (
  topic text NOT NULL,
  partition int NOT NULL,
  next_offset bigint NOT NULL,
  lost bigint NOT NULL DEFAULT 0,
  topic_end bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE tally (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  none bigint NOT NULL DEFAULT 0,
  offensive bigint NOT NULL DEFAULT 0,
  hate bigint NOT NULL DEFAULT 0,
  known bigint NOT NULL DEFAULT 0,
  quarantined bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO tally DEFAULT VALUES;
CREATE TABLE observer_cursor (
  source text PRIMARY KEY,
  cursor jsonb NOT NULL,
  saved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE probe (
  id text PRIMARY KEY,
  sent_at timestamptz NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"#];

/// Applies the steps that are missing; whoever comes second waits and finds nothing to do.
pub async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let failed = StoreError::failed::<tokio_postgres::Error>;
    let tx = client.transaction().await.map_err(failed("begin the migration"))?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed("lock the schema"))?;
    let ledger = "CREATE TABLE IF NOT EXISTS schema_step (step int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())";
    tx.batch_execute(ledger).await.map_err(failed("read the schema's version"))?;
    let row = tx.query_one("SELECT coalesce(max(step), 0) FROM schema_step", &[]).await.map_err(failed("read the schema's version"))?;
    let (found, known): (i32, i32) = (row.get(0), STEPS.len() as i32);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for step in found..known {
        tx.batch_execute(STEPS[step as usize]).await.map_err(failed("migrate the schema"))?;
        tx.execute("INSERT INTO schema_step (step) VALUES ($1)", &[&(step + 1)]).await.map_err(failed("migrate the schema"))?;
    }
    tx.commit().await.map_err(failed("migrate the schema"))
}

/// Makes the partitions around `today` that are missing. A day whose rows already lie in the default partition stays
/// there: their keys are unique in it just the same.
pub async fn partitions(client: &mut Client, today: NaiveDate) -> Result<(), StoreError> {
    let failed = StoreError::failed::<tokio_postgres::Error>;
    for day in wanted(today) {
        let tx = client.transaction().await.map_err(failed("begin a partition"))?;
        tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed("lock the schema"))?;
        let name = format!("post_{}", day.format("%Y%m%d"));
        let there = "SELECT to_regclass($1) IS NOT NULL OR EXISTS (SELECT FROM post_default WHERE day = $2)";
        let there: bool = tx.query_one(there, &[&name, &day]).await.map_err(failed("look for a partition"))?.get(0);
        if !there {
            let next = day.succ_opt().unwrap_or(day);
            let make = format!("CREATE TABLE {name} PARTITION OF post FOR VALUES FROM ('{day}') TO ('{next}')");
            tx.batch_execute(&make).await.map_err(failed("make a partition"))?;
        }
        tx.commit().await.map_err(failed("make a partition"))?;
    }
    Ok(())
}

/// The days that have a partition of their own on `today`.
fn wanted(today: NaiveDate) -> Vec<NaiveDate> {
    let first = today.checked_sub_days(Days::new(BEHIND)).unwrap_or(today);
    first.iter_days().take((BEHIND + AHEAD + 1) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_reach_from_three_days_ago_to_a_week_ahead() {
        let days = wanted("2026-03-01".parse().unwrap());
        assert_eq!((days.len(), days[0].to_string(), days[10].to_string()), (11, "2026-02-26".into(), "2026-03-08".into()));
    }
}
