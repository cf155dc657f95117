//! Shows a page the message of an earlier refusal that could not be sent; see
//! [`messages`](crate::refusal::messages).

use std::sync::Arc;

use actix_web::{
    HttpMessage as _, HttpRequest,
    dev::{ResponseHead, ServiceRequest},
};
use actix_web_flash_messages::{
    FlashMessage,
    storage::{FlashMessageStore, LoadError, StoreError},
};

use crate::{
    hooks::Hook,
    manager::Manager,
    refusal::{
        FlashHook, RefusalKind,
        messages::{self, Framework},
    },
    request::state::LoginState,
};

/// Puts the message that is due among those that a page inside the framework finds.
pub(crate) fn show(request: &ServiceRequest) {
    let request = request.request();
    // A `CrossSiteGuard` traces requests without a manager, too.
    let Some(manager) = Manager::peek(request) else {
        return;
    };
    let settings = &manager.refusal;
    if !matches!(settings.flash, Some(FlashHook::Framework)) {
        return;
    }
    let (Some(kind), Some(framework)) = (
        messages::due(request, settings),
        messages::framework(request),
    ) else {
        return;
    };
    let with_due: Framework = Arc::new(WithDue {
        manager: Arc::clone(manager),
        framework,
        kind,
    });
    request.extensions_mut().insert(with_due);
}

/// The framework's storage, with one more message.
struct WithDue {
    manager: Arc<Manager>,
    framework: Framework,
    kind: RefusalKind,
}

impl FlashMessageStore for WithDue {
    fn load(&self, request: &HttpRequest) -> Result<Vec<FlashMessage>, LoadError> {
        let settings = &self.manager.refusal;
        let text = Hook::Message.run(|| settings.text(request, self.kind));
        let mut found = self.framework.load(request)?;
        if let Some(text) = text {
            found.push(messages::message(settings, self.kind, &text));
        }
        let state = LoginState::of_or_new(request, &self.manager);
        state.set_cookie(messages::clear(settings));
        Ok(found)
    }

    fn store(
        &self,
        messages: &[FlashMessage],
        request: HttpRequest,
        response: &mut ResponseHead,
    ) -> Result<(), StoreError> {
        self.framework.store(messages, request, response)
    }
}
