-- Ends wrk's report with one line of JSON. Latencies are microseconds. The argument is the size of a body to POST.
init = function(arguments)
    local size = tonumber(arguments[1])
    if size > 0 then
        wrk.method = "POST"
        wrk.body = string.rep("x", size)
    end
end

done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p90_us": %d, "p99_us": %d, "p999_us": %d, "max_us": %d, '
            .. '"errors": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(90),
        latency:percentile(99), latency:percentile(99.9), latency.max,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
