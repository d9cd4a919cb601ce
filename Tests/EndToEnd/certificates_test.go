package endtoend

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// authority is a certificate authority of the tests: a root that clients trust, and an intermediate one that signs.
type authority struct {
	root, middle *x509.Certificate
	middleKey    crypto.Signer
	pool         *x509.CertPool
	serial       int64
	lock         sync.Mutex
}

var (
	authorityOnce sync.Once
	theAuthority  *authority
)

func testAuthority() *authority {
	authorityOnce.Do(func() { theAuthority = newAuthority() })
	return theAuthority
}

func newAuthority() *authority {
	a := &authority{pool: x509.NewCertPool()}
	rootKey, middleKey := newKey("p256"), newKey("p256")
	template := func(name string) *x509.Certificate {
		a.serial++
		return &x509.Certificate{
			SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, IsCA: true,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			NotBefore: time.Now().Add(-72 * time.Hour), NotAfter: time.Now().Add(72 * time.Hour),
		}
	}
	root := template("root of the tests")
	a.root = sign(root, root, rootKey.Public(), rootKey)
	a.middle = sign(template("intermediate of the tests"), a.root, middleKey.Public(), rootKey)
	a.middleKey = middleKey
	a.pool.AddCert(a.root)
	return a
}

func newKey(kind string) (key crypto.Signer) {
	var err error
	switch kind {
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		panic(kind)
	}
	if err != nil {
		panic(err)
	}
	return key
}

func sign(certificate, issuer *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, public, key)
	if err != nil {
		panic(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return signed
}

// issued is a certificate of the authority with its key.
type issued struct {
	certificate *x509.Certificate
	chain       string
	key         crypto.Signer
}

// issue makes a certificate for names; the first one is its common name, too.
func issue(kind string, names ...string) issued {
	return issueUntil(time.Now().Add(24*time.Hour), kind, names...)
}

func issueUntil(end time.Time, kind string, names ...string) issued {
	return issueFor(end.Add(-48*time.Hour), end, kind, names...)
}

// issueFor is issue with the moments from which on and until which the certificate is valid.
func issueFor(begin, end time.Time, kind string, names ...string) issued {
	a := testAuthority()
	a.lock.Lock()
	defer a.lock.Unlock()
	a.serial++
	key := newKey(kind)
	certificate := sign(&x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: begin, NotAfter: end,
	}, a.middle, key.Public(), a.middleKey)
	return issued{certificate, block("CERTIFICATE", certificate.Raw) + block("CERTIFICATE", a.middle.Raw), key}
}

func block(kind string, bytes []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
}

// keyText is the key in PEM, PKCS#8.
func (i issued) keyText() string {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		panic(err)
	}
	return block("PRIVATE KEY", der)
}

// oldKeyText is the key in the form of its kind: PKCS#1 or SEC1.
func (i issued) oldKeyText() string {
	switch key := i.key.(type) {
	case *rsa.PrivateKey:
		return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			panic(err)
		}
		return block("EC PRIVATE KEY", der)
	}
	panic("there is no older form")
}

// encryptedKeyText is the key in PEM behind a password.
func (i issued) encryptedKeyText() string {
	der, err := x509.MarshalECPrivateKey(i.key.(*ecdsa.PrivateKey))
	if err != nil {
		panic(err)
	}
	encrypted, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte("secret"), x509.PEMCipherAES128)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(encrypted))
}

// with is a definition that brings the certificate.
func (i issued) with(definition service.Definition) service.Definition {
	definition.TLS = &service.TLS{Certificate: i.chain, Key: i.keyText()}
	return definition
}

// expect checks which one a client got.
func (i issued) expect(t *testing.T, what string, got *x509.Certificate) {
	t.Helper()
	if !got.Equal(i.certificate) {
		t.Errorf("%s: the certificate is for %v (number %v), expected %v (number %v)", what, got.DNSNames,
			got.SerialNumber, i.certificate.DNSNames, i.certificate.SerialNumber)
	}
}
