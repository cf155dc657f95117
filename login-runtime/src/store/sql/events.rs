//! Events in a SQL database, as an audit trail.
//!
//! 1. A batch of events is one transaction. An event that is stored already is skipped, because the trail
//!    stores a batch again if it is not sure that it was committed.
//! 2. Rows have numbers in the order in which they are stored: that of what happened, on each node.

/// Defines the methods of a store for events. `$dialect` is the module of what is special about its
/// database.
macro_rules! sql_event_sink {
    ($store:ident, $dialect:ident, $database:ty) => {
        impl $store {
            fn event(row: &<$database as Database>::Row) -> Result<EventRecord, StoreError> {
                let details: &str = row.try_get(10)?;
                let event: String = row.try_get(2)?;
                let reason: Option<String> = row.try_get(9)?;
                Ok(EventRecord {
                    id: bytes(row.try_get(0)?)?,
                    at: row.try_get(1)?,
                    event: Cow::Owned(event),
                    user_type: row.try_get(3)?,
                    user_id: row.try_get(4)?,
                    login: row.try_get(5)?,
                    account: row.try_get(6)?,
                    address: row.try_get(7)?,
                    user_agent: row.try_get(8)?,
                    reason: reason.map(Cow::Owned),
                    details: serde_json::from_str(details).map_err(StoreError::new)?,
                })
            }
        }

        impl EventSink for $store {
            async fn store_events(&self, events: &[EventRecord]) -> Result<(), StoreError> {
                let (permit, mut connection) = self.writer().await?;
                let events = events.to_vec();
                complete(async move {
                    let _permit = permit;
                    let mut tx = Self::begin(&mut connection, None).await?;
                    for event in events {
                        let details =
                            serde_json::to_string(&event.details).map_err(StoreError::new)?;
                        sqlx::query(statements::INSERT_EVENT)
                            .bind(event.id.as_slice())
                            .bind(event.at)
                            .bind(&*event.event)
                            .bind(event.user_type)
                            .bind(event.user_id)
                            .bind(event.login)
                            .bind(event.account)
                            .bind(event.address)
                            .bind(event.user_agent)
                            .bind(event.reason.as_deref())
                            .bind(details)
                            .execute(&mut *tx)
                            .await?;
                    }
                    tx.commit().await?;
                    Ok(())
                })
                .await
            }

            async fn recent_events(
                &self,
                owner: LoginOwner<'_>,
                limit: u32,
            ) -> Result<Vec<EventRecord>, StoreError> {
                let rows = sqlx::query(statements::RECENT_EVENTS)
                    .bind(owner.user_type)
                    .bind(owner.user_id)
                    .bind(i64::from(limit))
                    .fetch_all(&mut *$dialect::connect(&self.pool).await?)
                    .await?;
                rows.iter().map(Self::event).collect()
            }

            async fn purge_events(
                &self,
                now: i64,
                older_than: Duration,
                limit: u32,
            ) -> Result<u64, StoreError> {
                let clock = self.clock().await?;
                // A node whose clock is ahead must not delete the trail of all.
                let before = now.min(clock).saturating_sub_unsigned(older_than.as_secs());
                self.delete_before(statements::PURGE_EVENTS, before, u64::from(limit))
                    .await
            }
        }
    };
}

pub(super) use sql_event_sink;
