//! Through whom an organizer's money moves: its own account with a provider if it has one, else the server's, else
//! the simulated gateway. A movement goes on through whom it was begun.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use uuid::Uuid;

use super::StepError;
use crate::adapters::payment::PaymentProvider;
use crate::adapters::payment::simulated::{self, Simulated};
use crate::adapters::payment::stripe::{self, Stripe};
use crate::app::App;
use crate::config::{Config, Secret};
use crate::keys::MasterKey;
use crate::store::payment_account::{self, PaymentAccount};

/// What seals an organizer's secret key, and its webhooks' secrets.
pub const SECRET_KEY: &str = "payment_accounts/secret_key";
pub const WEBHOOK_SECRETS: &str = "payment_accounts/webhook_secrets";

const FRESH: Duration = Duration::from_secs(30);
const MAX_ENTRIES: usize = 2_000;

/// A provider as it is used for an organizer.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub provider: Arc<dyn PaymentProvider>,
    /// The organizer's own account; none: the server's.
    pub account_id: Option<Uuid>,
}

/// An account with Stripe.
#[derive(Debug)]
pub struct Account {
    /// None: the server's.
    pub account_id: Option<Uuid>,
    pub provider: Arc<Stripe>,
    pub publishable_key: Option<String>,
    pub webhook_secrets: Vec<Secret>,
}

/// What was found of an organizer's own account, and when.
#[derive(Debug)]
struct Remembered {
    at: Duration,
    account: Option<Arc<Account>>,
    /// There is one, perhaps without its keys: whose keys are taken away gives nothing away for nothing.
    had: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Gateways {
    simulated: Arc<Simulated>,
    /// Whether the simulated one sells; unset: where there is no other.
    simulated_sells: Option<bool>,
    servers: Option<Arc<Account>>,
    http: reqwest::Client,
    api_base: String,
    own: Mutex<HashMap<Uuid, Remembered>>,
}

impl Gateways {
    /// # Errors
    /// The TLS library does not start.
    pub fn new(config: &Config, master_key: &MasterKey) -> anyhow::Result<Self> {
        let gateway = &config.gateway;
        // The simulated gateway's seed is the configured one or else one of this installation, so that it says
        // the same after a restart.
        let seed = gateway.seed.unwrap_or_else(|| {
            let key = master_key.subkey("hvflvspot/simulated-payment-seed/v1\0");
            u64::from_be_bytes(*key.first_chunk().expect("a subkey is longer than eight bytes"))
        });
        let latency = Duration::from_millis(gateway.latency_ms);
        let http = stripe::client().context("cannot set up the connection to Stripe")?;
        let of_server = |secret_key: &Secret| {
            Arc::new(Account {
                account_id: None,
                provider: Arc::new(Stripe::new(
                    http.clone(),
                    config.stripe.api_base.clone(),
                    secret_key.clone(),
                )),
                publishable_key: config.stripe.publishable_key.clone(),
                webhook_secrets: config.stripe.webhook_secrets.clone(),
            })
        };
        Ok(Self {
            simulated: Arc::new(Simulated::new(seed, gateway.success_rate, latency)),
            simulated_sells: gateway.enabled,
            servers: config.stripe.secret_key.as_ref().map(of_server),
            http: http.clone(),
            api_base: config.stripe.api_base.clone(),
            own: Mutex::default(),
        })
    }

    /// The server's own account, if it has one.
    #[must_use]
    pub fn servers(&self) -> Option<&Arc<Account>> {
        self.servers.as_ref()
    }

    /// Forgets what is remembered of an organizer.
    pub fn forget(&self, organizer_id: Uuid) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).remove(&organizer_id);
    }

    fn remembered(&self, organizer_id: Uuid, now: Duration) -> Option<Option<Arc<Account>>> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let known = own.get(&organizer_id)?;
        (now.saturating_sub(known.at) < FRESH).then(|| known.account.clone())
    }

    /// As remembered by the last look.
    fn had_own(&self, organizer_id: Uuid) -> bool {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.get(&organizer_id).is_some_and(|known| known.had)
    }

    fn remember(&self, organizer_id: Uuid, found: Remembered) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() >= MAX_ENTRIES {
            own.clear();
        }
        own.insert(organizer_id, found);
    }
}

/// By whom new payments of a method go; `None` if the organizer does not take it.
///
/// # Errors
/// [`StepError`]
pub async fn for_payment(app: &App, organizer_id: Uuid, method: &str) -> Result<Option<Gateway>, StepError> {
    let gateways = &app.selling.gateways;
    let account = account(app, organizer_id).await?;
    Ok(match (method, account) {
        (stripe::NAME, Some(account)) => {
            Some(Gateway { provider: Arc::clone(&account.provider) as _, account_id: account.account_id })
        }
        (simulated::NAME, account) => {
            let sells = match gateways.simulated_sells {
                Some(sells) => sells,
                None => account.is_none() && !gateways.had_own(organizer_id),
            };
            if !sells {
                return Ok(None);
            }
            Some(Gateway { provider: Arc::clone(&gateways.simulated) as _, account_id: None })
        }
        _ => None,
    })
}

/// The account with Stripe that new payments of an organizer go through: its own, or else the server's.
///
/// # Errors
/// [`StepError`]
pub async fn account(app: &App, organizer_id: Uuid) -> Result<Option<Arc<Account>>, StepError> {
    Ok(match own(app, organizer_id).await? {
        Some(account) => Some(account),
        None => app.selling.gateways.servers.clone(),
    })
}

/// By whom a movement goes on.
///
/// # Errors
/// [`StepError::NoProvider`] if its account is not set up (any more).
pub async fn for_movement(
    app: &App,
    organizer_id: Uuid,
    provider: &str,
    account_id: Option<Uuid>,
) -> Result<Arc<dyn PaymentProvider>, StepError> {
    let gateways = &app.selling.gateways;
    let found: Option<Arc<dyn PaymentProvider>> = match (provider, account_id) {
        (simulated::NAME, _) => Some(Arc::clone(&gateways.simulated) as _),
        (stripe::NAME, None) => gateways.servers.as_ref().map(|a| Arc::clone(&a.provider) as _),
        (stripe::NAME, Some(_)) => own(app, organizer_id)
            .await?
            .filter(|a| a.account_id == account_id)
            .map(|a| Arc::clone(&a.provider) as _),
        _ => None,
    };
    found.ok_or_else(|| StepError::NoProvider(provider.to_owned()))
}

/// The organizer's own account with Stripe.
///
/// # Errors
/// [`StepError`]
pub async fn own(app: &App, organizer_id: Uuid) -> Result<Option<Arc<Account>>, StepError> {
    let now = app.clock.monotonic();
    if let Some(account) = app.selling.gateways.remembered(organizer_id, now) {
        return Ok(account);
    }
    let mut tx = app.db.tenant(organizer_id).await?;
    let row = payment_account::find(&mut tx, organizer_id, stripe::NAME).await?;
    tx.commit().await?;
    let had = row.is_some();
    let account = match row {
        Some(row) => open(app, row).map_err(StepError::Sealed)?.map(Arc::new),
        None => None,
    };
    let found = Remembered { at: now, account: account.clone(), had };
    app.selling.gateways.remember(organizer_id, found);
    Ok(account)
}

/// Whose key it is, as Stripe tells; none if it does not.
pub async fn account_of_key(app: &App, secret_key: &str) -> Option<String> {
    let gateways = &app.selling.gateways;
    Stripe::new(gateways.http.clone(), gateways.api_base.clone(), Secret::new(secret_key)).account().await
}

/// The same of the key that is stored, if there is one.
///
/// # Errors
/// It does not open under this master key.
pub async fn account_of_stored(app: &App, row: &PaymentAccount) -> anyhow::Result<Option<String>> {
    let Some(sealed) = &row.secret_key_sealed else { return Ok(None) };
    let key = app.master_key.open(SECRET_KEY, sealed)?;
    Ok(account_of_key(app, std::str::from_utf8(&key).context("a secret key is text")?).await)
}

fn open(app: &App, row: PaymentAccount) -> anyhow::Result<Option<Account>> {
    let Some(sealed) = row.secret_key_sealed else { return Ok(None) };
    let key = app.master_key.open(SECRET_KEY, &sealed)?;
    let secret_key = Secret::new(std::str::from_utf8(&key).context("a secret key is text")?);
    let gateways = &app.selling.gateways;
    Ok(Some(Account {
        account_id: Some(row.account_id),
        provider: Arc::new(Stripe::new(gateways.http.clone(), gateways.api_base.clone(), secret_key)),
        publishable_key: row.publishable_key,
        webhook_secrets: webhook_secrets(app, row.webhook_secrets_sealed.as_deref())?,
    }))
}

/// The signing secrets of an organizer's webhook endpoint.
///
/// # Errors
/// They do not open under this master key.
pub fn webhook_secrets(app: &App, sealed: Option<&[u8]>) -> anyhow::Result<Vec<Secret>> {
    let Some(sealed) = sealed else { return Ok(Vec::new()) };
    let bytes = app.master_key.open(WEBHOOK_SECRETS, sealed)?;
    let all: Vec<String> = serde_json::from_slice(&bytes).context("webhook secrets are a list")?;
    Ok(all.into_iter().map(Secret::new).collect())
}
