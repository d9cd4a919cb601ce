internal import HTTP1
internal import Proxy

/// What a figure of a listener is called: its label among the figures, and the clause of the line that tells of
/// failures.
struct CounterText {
    let counter: ListenerCounter
    let label: String
    /// Behind the number: of one client, of many. Empty: nobody is told.
    private let one: String
    private let many: String

    /// A figure that is no failure.
    private init(_ counter: ListenerCounter, _ label: String) {
        self.init(counter, label, "", "")
    }

    private init(_ counter: ListenerCounter, _ label: String, _ one: String, _ many: String) {
        self.counter = counter
        self.label = label
        self.one = one
        self.many = many
    }

    /// A request that got a status code.
    private init(_ counter: ListenerCounter, _ label: String, request one: String, _ many: String? = nil) {
        let status = counter.status
        self.init(counter, label, "request got \(status), \(one)", "requests got \(status), \(many ?? one)")
    }

    private init(_ counter: ListenerCounter, _ label: String, closed one: String, _ many: String? = nil) {
        self.init(counter, label, "connection was closed, \(one)", "connections were closed, \(many ?? one)")
    }

    private init(_ counter: ListenerCounter, _ label: String, reset one: String, _ many: String? = nil) {
        self.init(counter, label, "connection was reset, \(one)", "connections were reset, \(many ?? one)")
    }

    private init(_ counter: ListenerCounter, _ label: String, handshake one: String, _ many: String? = nil) {
        self.init(counter, label, "TLS handshake failed, \(one)", "TLS handshakes failed, \(many ?? one)")
    }

    var hasClause: Bool { !one.isEmpty }

    /// Whether the figure is shown even while it is 0.
    var isAlwaysShown: Bool { counter.rawValue <= ListenerCounter.cutBrokenChunks.rawValue || counter == .failures }

    func clause(_ count: UInt64) -> String { "\(count) \(count == 1 ? one : many)" }

    /// All figures, in the order in which they are told.
    static func all(_ settings: Settings, _ limits: DataPlaneLimits) -> [CounterText] {
        waits + replies + requests(settings) + services(settings) + raw(settings) + resets(settings, limits)
            + cuts(settings) + handshakes(settings, limits) + everyday
    }

    private static let waits = [
        CounterText(.held, "held"), CounterText(.released, "released"), CounterText(.expired, "expired"),
        CounterText(.refused, "refused"), CounterText(.sentAgain, "sent again"),
        CounterText(.takenBack, "taken back"),
    ]

    /// Services that broke off, and replies that were none.
    private static let replies = [
        CounterText(
            .failedMayHaveRun, "502 may have run",
            request: "it may have been executed, and must not be executed twice",
            "they may have been executed, and must not be executed twice"),
        CounterText(
            .failedNotKept, "502 too large to repeat",
            request: "it was too large, or the buffers too full, to keep it for another attempt",
            "they were too large, or the buffers too full, to keep them for another attempt"),
        CounterText(
            .failedSpent, "502 after all attempts", request: "all attempts or the time for them were spent"),
        CounterText(
            .failedBroken, "502 invalid reply", request: "the head of the reply was invalid",
            "the heads of the replies were invalid"),
        CounterText(
            .cut, "cut", "connection was cut, its service ended in the middle of a reply or a relay",
            "connections were cut, their services ended in the middle of a reply or a relay"),
        CounterText(
            .failedTooLarge, "502 reply head too large", request: "the reply's head was too large",
            "the replies' heads were too large"),
        CounterText(
            .failedTooManyFields, "502 reply fields", request: "the reply had too many fields",
            "the replies had too many fields"),
        CounterText(
            .failedNotHTTP, "502 reply not HTTP", request: "the reply did not begin as HTTP does",
            "the replies did not begin as HTTP does"),
        CounterText(
            .failedBadFields, "502 reply field", request: "a field of the reply was invalid",
            "fields of the replies were invalid"),
        CounterText(
            .failedBadFraming, "502 reply length", request: "where the reply ends could not be told",
            "where the replies end could not be told"),
        CounterText(
            .failedUnaskedSwitch, "502 reply switched", request: "the reply was a 101 that nobody had asked for",
            "the replies were 101s that nobody had asked for"),
        CounterText(
            .cutBrokenChunks, "cut broken chunks", "reply was cut, its chunks were invalid",
            "replies were cut, their chunks were invalid"),
        CounterText(.failedNoMemory, "502 no memory", request: "no memory was left for the head of the reply"),
    ]

    /// What clients have done wrong.
    private static func requests(_ settings: Settings) -> [CounterText] {
        let limits = HeadLimits(headBytes: settings.headLimit.bytes)
        let target = ByteCount(bytes: limits.targetBytes).rounded
        return [
            CounterText(
                .refusedFirstLine, "400 first line", request: "its first line was invalid",
                "their first lines were invalid"),
            CounterText(
                .refusedField, "400 field", request: "a line of its head was invalid",
                "lines of their heads were invalid"),
            CounterText(
                .refusedHost, "400 host", request: "its Host was missing, repeated or invalid",
                "their Host was missing, repeated or invalid"),
            CounterText(
                .refusedLength, "400 length", request: "where it ends could not be told",
                "where they end could not be told"),
            CounterText(
                .refusedPath, "400 path", request: "its path was badly encoded or led above the root",
                "their paths were badly encoded or led above the root"),
            CounterText(
                .refusedChunks, "400 chunks", request: "the chunks of its body were invalid",
                "the chunks of their bodies were invalid"),
            CounterText(
                .refusedHandshake, "400 TLS", request: "it was a TLS handshake on a port without TLS",
                "they were TLS handshakes on a port without TLS"),
            CounterText(
                .refusedPlain, "400 without TLS", request: "it came without TLS to a port that speaks it",
                "they came without TLS to a port that speaks it"),
            CounterText(
                .refusedTrace, "405 TRACE", request: "it was a TRACE that may go no further",
                "they were TRACEs that may go no further"),
            CounterText(
                .refusedLateHead, "408 head",
                request: "its head took longer than --head-timeout \(settings.headTimeout)",
                "their heads took longer than --head-timeout \(settings.headTimeout)"),
            CounterText(
                .refusedLateBody, "408 body",
                request: "its body stood still for --stall-timeout \(settings.stallTimeout)",
                "their bodies stood still for --stall-timeout \(settings.stallTimeout)"),
            CounterText(
                .refusedLongTarget, "414 target", request: "its target was longer than \(target)",
                "their targets were longer than \(target)"),
            CounterText(
                .refusedLargeHead, "431 size", request: "its head was larger than --head-limit \(settings.headLimit)",
                "their heads were larger than --head-limit \(settings.headLimit)"),
            CounterText(
                .refusedManyFields, "431 fields",
                request: "its head had more than \(limits.fields) fields, or its Connection more than 16 names",
                "their heads had more than \(limits.fields) fields, or their Connection more than 16 names"),
            CounterText(
                .refusedMethod, "501 method", request: "its method was longer than any that is known",
                "their methods were longer than any that is known"),
            CounterText(
                .refusedCoding, "501 coding", request: "its transfer coding is unknown here",
                "their transfer codings are unknown here"),
            CounterText(
                .refusedLoop, "508 loop",
                request: "it has come back again and again, its service leads to the proxy",
                "they have come back again and again, their services lead to the proxy"),
            CounterText(
                .refusedVersion, "505 version", request: "its version of HTTP is not spoken here",
                "their versions of HTTP are not spoken here"),
        ]
    }

    /// Services that are not there, or do not do their part.
    private static func services(_ settings: Settings) -> [CounterText] {
        let replyTimeout = settings.replyTimeout.map { "--reply-timeout \($0)" } ?? "--reply-timeout"
        return [
            CounterText(
                .refusedUnrouted, "404 no route", request: "no route for its host and path",
                "no route for their hosts and paths"),
            CounterText(
                .refusedHoldOver, "503 hold over",
                request: "no service took it before --hold \(settings.hold) was over",
                "no service took them before --hold \(settings.hold) was over"),
            CounterText(
                .refusedHoldLimit, "503 hold limit",
                request: "too many clients waited for services; look at --hold-limit \(settings.holdLimit)"),
            CounterText(
                .refusedHoldBytes, "503 hold bytes",
                request: "waiting clients had said too much; look at --hold-bytes \(settings.holdBytes)"),
            CounterText(.refusedDraining, "503 stopping", request: "no service was there and the proxy stops"),
            CounterText(
                .refusedNoRoom, "503 no room",
                request: "no stream or memory was left; look at --max-connections and --buffer-limit"),
            CounterText(.failedNoReply, "504 no reply", request: "the service did not reply within \(replyTimeout)"),
            CounterText(
                .failedBodyNotTaken, "504 body not taken",
                request: "the service took nothing of the request's body for --stall-timeout \(settings.stallTimeout)",
                "services took nothing of the requests' bodies for --stall-timeout \(settings.stallTimeout)"),
        ]
    }

    private static func raw(_ settings: Settings) -> [CounterText] {
        [
            CounterText(
                .closedUnrouted, "closed no route", closed: "no route for raw connections"),
            CounterText(
                .closedHoldOver, "closed hold over",
                closed: "no service took it before --hold \(settings.hold) was over",
                "no service took them before --hold \(settings.hold) was over"),
            CounterText(
                .closedHoldLimit, "closed hold limit",
                closed: "too many clients waited for services; look at --hold-limit \(settings.holdLimit)"),
            CounterText(
                .closedHoldBytes, "closed hold bytes",
                closed: "waiting clients had said too much; look at --hold-bytes \(settings.holdBytes)"),
            CounterText(
                .closedDraining, "closed stopping", closed: "no service had taken it when the proxy stopped",
                "no service had taken them when the proxy stopped"),
            CounterText(
                .closedIdle, "closed idle relay",
                closed: "nothing moved for --relay-idle-timeout\(settings.relayIdleTimeout.map { " \($0)" } ?? "")"),
            CounterText(
                .closedBadRecords, "closed bad records", closed: "its records of TLS were broken",
                "their records of TLS were broken"),
        ]
    }

    private static func resets(_ settings: Settings, _ limits: DataPlaneLimits) -> [CounterText] {
        [
            CounterText(
                .resetNoRoom, "reset no room",
                reset: "no stream, slot or memory was left; look at --max-connections and --buffer-limit"),
            CounterText(
                .resetQueueFull, "reset queue full",
                reset: "too many clients waited for a place; look at --max-connections \(limits.connections)"),
            CounterText(
                .resetStalledClient, "reset stalled client",
                reset: "its client took nothing for --stall-timeout \(settings.stallTimeout)",
                "their clients took nothing for --stall-timeout \(settings.stallTimeout)"),
            CounterText(
                .resetStalledRelay, "reset stalled relay",
                reset: "one side had ended and the other took nothing for --stall-timeout \(settings.stallTimeout)"),
            CounterText(
                .resetOverLimit, "reset over limit",
                reset:
                    "it held more bytes than others and took none; look at --buffer-limit "
                    + "\(ByteCount(bytes: limits.bufferBytes))",
                "they held more bytes than others and took none; look at --buffer-limit "
                    + "\(ByteCount(bytes: limits.bufferBytes))"),
            CounterText(
                .resetNoMemory, "reset no memory", reset: "no memory was left for its bytes; look at --buffer-limit",
                "no memory was left for their bytes; look at --buffer-limit"),
        ]
    }

    private static func cuts(_ settings: Settings) -> [CounterText] {
        [
            CounterText(
                .cutBadRequest, "cut bad request chunks", "reply was cut, the chunks of its request were invalid",
                "replies were cut, the chunks of their requests were invalid"),
            CounterText(
                .cutBodyNotTaken, "cut body not taken",
                "reply was cut, the service took nothing of the request for --stall-timeout \(settings.stallTimeout)",
                "replies were cut, services took nothing of the requests for --stall-timeout "
                    + "\(settings.stallTimeout)"),
            CounterText(
                .cutIdle, "cut idle reply",
                "reply was cut, nothing moved for --relay-idle-timeout"
                    + (settings.relayIdleTimeout.map { " \($0)" } ?? ""),
                "replies were cut, nothing moved for --relay-idle-timeout"
                    + (settings.relayIdleTimeout.map { " \($0)" } ?? "")),
            CounterText(
                .cutDrained, "cut at the end",
                "connection was cut off, it had not ended within --drain \(settings.drain)",
                "connections were cut off, they had not ended within --drain \(settings.drain)"),
        ]
    }

    private static func handshakes(_ settings: Settings, _ limits: DataPlaneLimits) -> [CounterText] {
        let minimum = "the client speaks no version as new as --tls-min \(settings.tlsMinimum)"
        return [
            CounterText(.handshakeNoVersion, "TLS no version", handshake: minimum),
            CounterText(
                .handshakeNoSuite, "TLS no suite",
                handshake: "there was no cipher suite, curve or signature scheme in common"),
            CounterText(
                .handshakeNoProtocol, "TLS no protocol", handshake: "the client wanted another protocol than HTTP/1.1"),
            CounterText(
                .handshakeGivenUp, "TLS given up",
                handshake: "the client gave up by an alert; it may not trust the certificate",
                "clients gave up by an alert; they may not trust the certificate"),
            CounterText(
                .handshakeNoTLS, "TLS not spoken", handshake: "the client did not speak TLS",
                "clients did not speak TLS"),
            CounterText(
                .handshakeBroken, "TLS broken", handshake: "what the client said was invalid",
                "what clients said was invalid"),
            CounterText(
                .handshakeLate, "TLS too slow",
                handshake: "it took longer than --tls-handshake-timeout \(settings.tlsHandshakeTimeout)",
                "they took longer than --tls-handshake-timeout \(settings.tlsHandshakeTimeout)"),
            CounterText(
                .handshakeCrowded, "TLS too many",
                handshake: "it was the oldest of more than --tls-handshakes \(limits.handshakes)",
                "they were the oldest of more than --tls-handshakes \(limits.handshakes)"),
            CounterText(
                .handshakeNoMemory, "TLS no memory", handshake: "no memory was left for it; look at --buffer-limit",
                "no memory was left for them; look at --buffer-limit"),
            CounterText(
                .handshakeNoCertificate, "TLS no certificate", handshake: "the last certificate of the port has gone"),
            CounterText(.handshakeDrained, "TLS stopping", handshake: "the proxy stops"),
        ]
    }

    /// The sum of the failures, and what is none.
    private static let everyday = [
        CounterText(.failures, "failures"), CounterText(.answeredOptions, "200 OPTIONS"),
        CounterText(.clientGone, "clients gone"), CounterText(.clientLeftWaiting, "gone while waiting"),
        CounterText(.endedIdle, "ended idle"), CounterText(.endedSilent, "ended silent"),
        CounterText(.endedByDrain, "ended by stopping"), CounterText(.endedForOthers, "made room"),
        CounterText(.handshakeLeft, "TLS left"),
        CounterText(.parked, "waited for a slot"),
    ]
}
