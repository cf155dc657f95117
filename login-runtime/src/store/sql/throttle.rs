//! Tries in a SQL database: in the same one as logins, by the same rules.
//!
//! 1. A call that changes counters is one transaction, which locks them before it reads them. Each counter
//!    has a row unless it is empty.
//! 2. A try that is refused usually changes nothing. So it is first looked up without a lock and a
//!    transaction: a flood of tries does not make others wait.
//! 3. Strangers make rows here, so each counted try deletes a few that are over. The table stays small even
//!    in applications that never purge.

/// Defines the methods of a store that count tries. `$dialect` is the module of what is special about its
/// database.
macro_rules! sql_throttle_store {
    ($store:ident, $dialect:ident, $database:ty) => {
        impl $store {
            /// Reads the counters of a try, and the client at its place for a known one.
            async fn tries(
                connection: &mut <$database as Database>::Connection,
                attempt: &Attempt,
            ) -> Result<([Counter; 3], Option<KnownClient>), StoreError> {
                let find = attempt
                    .counters
                    .iter()
                    .chain([&attempt.known])
                    .fold(sqlx::query(statements::FIND_TRIES), |find, key| {
                        find.bind(key.0.as_slice())
                    });
                let mut counters = [Counter::default(); 3];
                let mut known = None;
                for row in find.fetch_all(connection).await? {
                    let key = CounterKey(bytes(row.try_get(1)?)?);
                    let (first, second) = (row.try_get(2)?, row.try_get(3)?);
                    if row.try_get(0)? {
                        known = Some(KnownClient {
                            client: first,
                            until: second,
                        });
                        continue;
                    }
                    for (counter, name) in counters.iter_mut().zip(&attempt.counters) {
                        if *name == key {
                            *counter = Counter {
                                empty_at: first,
                                next_at: second,
                            };
                        }
                    }
                }
                Ok((counters, known))
            }

            /// Stores the counters that have changed.
            async fn put_tries(
                connection: &mut <$database as Database>::Connection,
                attempt: &Attempt,
                before: [Counter; 3],
                after: [Counter; 3],
                now: i64,
            ) -> Result<(), StoreError> {
                for ((key, before), after) in attempt.counters.iter().zip(before).zip(after) {
                    if after == before {
                        continue;
                    }
                    let key = key.0.as_slice();
                    let forgotten_at = after.forgotten_at();
                    let put = if forgotten_at > now {
                        sqlx::query(statements::PUT_TRIES)
                            .bind(key)
                            .bind(after.empty_at)
                            .bind(after.next_at)
                            .bind(forgotten_at)
                    } else {
                        sqlx::query(statements::FORGET_TRIES).bind(key)
                    };
                    put.execute(&mut *connection).await?;
                }
                Ok(())
            }

            /// Takes a try back. `known_until` is for one that has succeeded.
            async fn settle(
                &self,
                attempt: &Attempt,
                counted: &[Counted; 3],
                known_until: Option<i64>,
                now: i64,
            ) -> Result<(), StoreError> {
                let (permit, mut connection) = self.writer().await?;
                let (attempt, counted) = (*attempt, *counted);
                complete(async move {
                    let _permit = permit;
                    let lock = $dialect::lock_counters(&attempt.counters);
                    let mut tx = Self::begin(&mut connection, lock).await?;
                    let (before, _) = Self::tries(&mut tx, &attempt).await?;
                    let after = match known_until {
                        Some(_) => attempt.succeed(before, &counted),
                        None => attempt.give_back(before, &counted),
                    };
                    Self::put_tries(&mut tx, &attempt, before, after, now).await?;
                    if let Some(until) = known_until {
                        sqlx::query(statements::PUT_KNOWN_CLIENT)
                            .bind(attempt.known.0.as_slice())
                            .bind(attempt.client)
                            .bind(until)
                            .execute(&mut *tx)
                            .await?;
                    }
                    tx.commit().await?;
                    Ok(())
                })
                .await
            }
        }

        impl ThrottleStore for $store {
            async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
                let mut connection = $dialect::connect(&self.pool).await?;
                let (counters, known) = Self::tries(&mut connection, attempt).await?;
                // Given back before the next one is asked for, or calls could wait for each other.
                drop(connection);
                let (after, claimed) = attempt.claim(counters, known, now);
                if matches!(claimed, Claimed::Refused { .. }) && after == counters {
                    return Ok(claimed);
                }
                let (permit, mut connection) = self.writer().await?;
                let attempt = *attempt;
                // Dropped with this call, if nobody waits for its answer any more.
                let caller = Arc::new(());
                let waiting = Arc::downgrade(&caller);
                complete(async move {
                    let _permit = permit;
                    let lock = $dialect::lock_counters(&attempt.counters);
                    let mut tx = Self::begin(&mut connection, lock).await?;
                    let (before, known) = Self::tries(&mut tx, &attempt).await?;
                    let (after, claimed) = attempt.claim(before, known, now);
                    Self::put_tries(&mut tx, &attempt, before, after, now).await?;
                    sqlx::query($dialect::FORGET_OLD_TRIES)
                        .bind(now)
                        .bind(KEEP_FORGOTTEN)
                        .execute(&mut *tx)
                        .await?;
                    // The try of a caller that has gone is not made. While the database is slow, it would use
                    // up the tries of an owner.
                    if waiting.strong_count() == 0 {
                        tx.rollback().await?;
                    } else {
                        tx.commit().await?;
                    }
                    Ok(claimed)
                })
                .await
            }

            async fn give_back(
                &self,
                attempt: &Attempt,
                counted: &[Counted; 3],
                now: i64,
            ) -> Result<(), StoreError> {
                self.settle(attempt, counted, None, now).await
            }

            async fn succeed(
                &self,
                attempt: &Attempt,
                counted: &[Counted; 3],
                known_until: i64,
                now: i64,
            ) -> Result<(), StoreError> {
                self.settle(attempt, counted, Some(known_until), now).await
            }
        }
    };
}

pub(super) use sql_throttle_store;
