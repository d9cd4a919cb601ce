import Foundation
import HTTP1
import Testing

/// The text of Date, against the C library's.
@Suite struct HTTPDateTests {
    private func date(_ seconds: UInt64) -> String {
        let bytes = unsafe written(room: HTTPDate.byteCount) { destination in
            unsafe HTTPDate.write(secondsSinceEpoch: seconds, to: destination)
            return HTTPDate.byteCount
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func reference(_ seconds: UInt64) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        let text = unsafe [CChar](unsafeUninitializedCapacity: 64) { buffer, count in
            unsafe gmtime_r(&time, &parts)
            count = unsafe strftime(buffer.baseAddress!, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        }
        return String(decoding: text.map(UInt8.init), as: UTF8.self)
    }

    @Test func theExampleOfTheStandard() {
        #expect(date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(date(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
    }

    @Test("each day of four hundred years is written as the C library writes it")
    func everyDay() {
        for day in UInt64(0)..<146_097 {
            let seconds = day * 86_400 + day * 7919 % 86_400
            if date(seconds) != reference(seconds) { Issue.record("\(seconds): \(date(seconds))") }
        }
    }

    @Test("each second of an hour before and behind the end of a year, a leap day and a day")
    func everySecond() {
        for border: UInt64 in [1_709_164_800, 1_709_251_200, 1_735_689_600, 951_782_400, 4_107_542_400, 3600] {
            for seconds in (border - 3600)..<(border + 3600) {
                if date(seconds) != reference(seconds) { Issue.record("\(seconds): \(date(seconds))") }
            }
        }
    }

    @Test func beyondFourDigitsOfAYearTheLastSecondStays() {
        #expect(date(253_402_300_799) == "Fri, 31 Dec 9999 23:59:59 GMT")
        for seconds in [253_402_300_800, UInt64(Int64.max), UInt64.max] {
            #expect(date(seconds) == date(253_402_300_799))
        }
    }
}
