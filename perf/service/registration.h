// The handshake by which a service says what it wants.
#pragma once

#include "serve.h"

// Dials the control address (for up to 5 s while nobody listens there yet), registers, and waits for `OK`.
// Returns a non-blocking socket on which yamux frames follow. Ends the process with the reason if it is refused.
int register_service(const struct registration *registration, const char *path);
