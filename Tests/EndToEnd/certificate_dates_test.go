package endtoend

import (
	"fmt"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestACertificateThatExpiresSoonIsWarnedOfOnce(t *testing.T) {
	p := onceWaiting(t)
	port := freePort(t)
	soon := issueFor(time.Now(), time.Now().Add(3*day), "p256", "soon.example")
	late := issueFor(time.Now(), time.Now().Add(15*day), "p256", "late.example")
	for _, certificate := range []issued{soon, late} {
		name := certificate.certificate.DNSNames[0]
		for index := 0; index < 4; index++ {
			p.serve(certificate.with(onHost(port, name, fmt.Sprint("/", index))), text(name)).Close()
		}
	}
	end := soon.certificate.NotAfter.UTC().Format("2006-01-02")
	p.awaitLog(fmt.Sprintf(`warning certificate expires in 3 days \(%s\): soon\.example on 127.0.0.1:%d; renew it$`, end, port), 0)
	p.listen(raw(freePort(t)))
	p.awaitLog(`registered raw`, 0)
	if count := p.matching(`warning .*expires`, 0); count != 1 {
		t.Errorf("warned of %d times", count)
	}
}

func TestACertificateThatExpiresWhileItIsServedIsWarnedOf(t *testing.T) {
	p := onceWaiting(t)
	port := freePort(t)
	certificate := issueUntil(time.Now().Add(6*time.Second), "p256", "a.example")
	p.serve(certificate.with(onHost(port, "a.example", "/")), text("a"))
	next := p.awaitLog(`warning certificate expires in 1 minute .*: a\.example on `, 0)
	p.awaitLog(`warning certificate expires: that for a\.example has expired \(\d{4}-\d\d-\d\d\), clients of .* refuse it`, next)
}

func TestACertificateThatIsNotValidYetIsWarnedOf(t *testing.T) {
	p := onceWaiting(t)
	certificate := issueFor(time.Now().Add(day), time.Now().Add(90*day), "p256", "a.example")
	p.serve(certificate.with(onHost(freePort(t), "a.example", "/")), text("a"))
	p.awaitLog(`warning certificate is not valid yet: that for a\.example begins on \d{4}-\d\d-\d\d, clients of .* refuse it`, 0)
}

func TestACertificateThatDoesNotCoverItsOwnDomainIsWarnedOf(t *testing.T) {
	p := onceWaiting(t)
	port := freePort(t)
	certificate := issueFor(time.Now(), time.Now().Add(90*day), "p256", "a.example", "*.b.example")
	for index, domain := range []string{"a.example", "x.b.example", ".b.example", "", "127.0.0.1", "c.example", "b.example"} {
		for range [3]int{} {
			p.serve(certificate.with(onHost(port, domain, fmt.Sprint("/", index))), text("a")).Close()
		}
	}
	p.awaitLog(`warning certificate does not cover c\.example, .*it is for a\.example, \*\.b\.example`, 0)
	p.awaitLog(`warning certificate does not cover b\.example, `, 0)
	if count := p.matching(`does not cover`, 0); count != 2 {
		t.Errorf("warned of %d times", count)
	}
}
