"""Which names are secret: the table. To extend it, add a row to the block that it belongs to.

A name is taken apart into its words, in lower case: ``apiKey``, ``X-Api-Key`` and ``api_key`` are
``api_key``. A row says where in a name its phrases may stand, which these are, and why:

- phrases are parted by blanks, their words by ``_``; in one of a single word, and not in the first
  or the last place of a name, ``*`` stands for any letters, also none;
- ``a b + c d`` is each of the left ones followed by each of the right ones: ``a_c a_d b_c b_d``.

The blocks are gone through in their order, and the first one with a row that fits decides. A name
that no row fits is harmless.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Secrecy(Enum):
    """What a name says about its value."""

    SECRET = auto()  # hidden everywhere
    DOUBTFUL = auto()  # hidden where the name came with data; a field that is set is shown
    HARMLESS = auto()  # shown


class Where(Enum):
    """Where in a name a phrase stands."""

    FIRST = auto()  # and other words follow
    LAST = auto()  # it may be all of the name
    ANY = auto()
    WHOLE = auto()


FIRST, LAST, ANY, WHOLE = Where
SECRET, DOUBTFUL, HARMLESS = Secrecy


class Row(NamedTuple):
    """Phrases, where in a name they stand, and why they are in the table."""

    where: Where
    phrases: str
    reason: str


TABLE: tuple[tuple[Secrecy, tuple[Row, ...]], ...] = (
    # What is secret although it looks like something below.
    (
        SECRET,
        (
            Row(LAST, "access_key_id", "found where the other half of it is, which opens AWS"),
            Row(LAST, "secret_id", "the secret half of HashiCorp Vault's AppRole"),
            Row(
                LAST,
                "session sess + id key keys token cookie data hash value secret sid",
                "who has it, is logged in",
            ),
            Row(LAST, "cookie cookies + jar header value string", "sessions are in there"),
            Row(
                LAST,
                "auth authentication authorization + token key code data string header cookie"
                " secret pass password info value ticket sig signature hash credentials",
                "who has it, may",
            ),
            Row(
                LAST,
                "card cards cc + number numbers num no nr pan cvc cvv csc code pin data details",
                "a card, with which one can pay",
            ),
            Row(LAST, "gift_card + code pin number token", "the same"),
            Row(LAST, "voucher + code pin token", "the same"),
            Row(
                LAST,
                "pin + code number no nr hash block value digits entry",
                "of a card or a telephone",
            ),
            Row(
                LAST,
                "key + file pair pass password secret store data material value pem phrase",
                "a private key",
            ),
            Row(
                LAST,
                "account bank_account social_security social_insurance passport iban"
                " + number num no nr",
                "a number that counts as a proof of who somebody is",
            ),
            Row(
                LAST, "otp totp + code pin value seed uri secret token input", "a one-time password"
            ),
            Row(LAST, "oauth + code token verifier data response", "half of a login elsewhere"),
            Row(LAST, "ticket + granting_ticket value hash", "of CAS or Kerberos"),
        ),
    ),
    # About a secret, and none itself; and other things with the same names.
    (
        HARMLESS,
        (
            Row(
                FIRST,
                "is has had was should can may will did does needs need require requires use uses"
                " show allow enable disable forgot without support supports",
                "a question: has_password, needs_auth",
            ),
            Row(
                FIRST,
                "num number_of n nr_of max min avg mean sum count total",
                "a quantity: num_tokens, max_tokens",
            ),
            Row(
                LAST,
                "count counts total used usage limit size length len age bits bytes time times"
                " timeout ttl lifetime max min hits misses attempts tries retries failure failures"
                " strength score rate percentage percent pct ratio duration latency ms seconds"
                " budget cost price quota balance remaining left index position offset level figs"
                " zoom per_second per_minute per_hour per_day per_request per_user",
                "a quantity: token_count, password_attempts, session_duration",
            ),
            Row(
                LAST,
                "at on by date day start started end ended expire expires expired expiry"
                " expiration change changed reset created updated deleted rotated refreshed revoked"
                " issued verified confirmed accepted sent seen shown scanned loaded found done"
                " active inactive enabled disabled required optional missing valid invalid ok"
                " failed check checks status result results clicked opened followed exempt trusted"
                " checked",
                "when, or what came of it: password_changed_at, login_code_sent",
            ),
            Row(
                LAST,
                "type types kind class format version schema algorithm alg method mode scheme"
                " provider backend backends issuer audience scope scopes policy model models"
                " manager managers validator validators hasher hashers serializer middleware view"
                " views form forms field fields column columns name names prefix user users"
                " username group groups owner holder brand network country domain host path paths"
                " url urls uri endpoint route source reason category action event option options"
                " settings config arn error errors exception exceptions warning warnings consent"
                " banner title layout color colour icon image label location figures last4 last_4"
                " first6 bin metric metrics",
                "what is known of it: card_brand, token_type, auth_backend, InvalidTokenError",
            ),
            Row(
                LAST,
                "prompt completion input output cached cache reasoning thinking generated llm audio"
                " text image context billed new stop special bad pad eos bos unk sep mask remaining"
                " used design + token tokens",
                "language models count them, designs have them for colours",
            ),
            Row(
                ANY,
                "boarding first second third final single multi next last two one ski season day"
                " bus travel guest mountain press render low high band test free + pass passes",
                "another pass: boarding_pass, first_pass",
            ),
            Row(
                ANY,
                "pass_through pass_fail pass_mark pass_grade pass_no pass_number pass_by",
                "the same",
            ),
            Row(
                LAST,
                "business score playing post index flash sim sd graphics network report product"
                " info dashboard trello kanban loyalty member membership time video sound"
                " memory + card cards",
                "another card: business_card",
            ),
            Row(
                LAST,
                "map location push safety bowling gpio drop board header + pin pins",
                "another pin",
            ),
            Row(
                LAST,
                "email mail method function call type digital handwritten file byte magic time key"
                " block + signature",
                "another signature: email_signature",
            ),
            Row(ANY, "secret_santa secret_menu", "no secrets"),
            Row(FIRST, "sig_fig signature_image signature_line signature_page", "the same"),
            Row(
                LAST,
                "sort cache group partition foreign primary natural row public object dict index s3"
                " storage bucket file blob redis memcache memcached map hash range routing lookup"
                " event feature flag config translation i18n locale message idempotency order"
                " unique composite compound candidate surrogate business search dedup dedupe rate"
                " throttle queue topic kafka stream registry setting settings option field column"
                " attr attribute property json yaml xml meta metadata tag label metric item product"
                " sku entity model content page view template block node tree edge graph test id"
                " parent child join merge shard document doc lock mutex job task step variant slot"
                " state status section category menu arrow shift enter hot short home esc delete"
                " tab legend first last next prev previous old new missing extra unknown duplicate"
                " invalid expected required matching param query form kwarg env context project"
                " issue epic board series measure dimension aggregation experiment + key keys",
                "a key that opens nothing: sort_key, s3_key, routing_key",
            ),
            Row(WHOLE, "key keys", "of what, the application knows"),
            Row(LAST, "key + id ids arn alias spec usage map func function path", "kms_key_id"),
            Row(
                LAST,
                "token card credential otp pin ticket cert certificate link account auth"
                " + id ids uuid pk",
                "where it is kept, and not what it is",
            ),
            Row(ANY, "public_key pub_key public_token publishable_key", "made to be shown"),
            Row(
                LAST,
                "postal post zip country currency language lang locale status error exit return"
                " response reason area color colour product item promo promotion coupon discount"
                " referral campaign source http airport station bar qr region state store shop sort"
                " tax vat hs icd event warehouse dial phone machine byte op + code codes",
                "the code of a thing: postal_code, exit_code",
            ),
            Row(
                LAST,
                "support jira parking event bug train bus concert lottery trouble zendesk open"
                " closed raffle + ticket tickets",
                "another ticket",
            ),
        ),
    ),
    (
        SECRET,
        (
            Row(ANY, "*password *passwords *passwd *passphrase *passcode pword", "a password"),
            Row(ANY, "pass pwd pwds pw psw", "a password"),
            Row(
                ANY,
                "db*pass database*pass user*pass usr*pass my*pass smtp*pass mail*pass email*pass"
                " ftp*pass ssh*pass root*pass admin*pass http*pass proxy*pass redis*pass mysql*pass"
                " pg*pass ldap*pass auth*pass login*pass app*pass key*pass sudo*pass wifi*pass"
                " sql*pass vpn*pass new*pass old*pass db*pwd user*pwd my*pwd root*pwd admin*pwd"
                " sql*pwd new*pwd old*pwd root*pw",
                "a password, written together: dbpass",
            ),
            Row(
                ANY,
                "passwort kennwort mot_de_passe motdepasse mdp contrasena senha wachtwoord parola"
                " haslo heslo salasana пароль 密码 密碼 パスワード 비밀번호",
                "a password, in other languages",
            ),
            Row(ANY, "*secret *secrets", "it says so"),
            Row(ANY, "*token", "who has it, may: access_token, csrfmiddlewaretoken"),
            Row(ANY, "access refresh auth api session bearer reset id csrf + tokens", "the same"),
            Row(ANY, "*credential *credentials cred creds", "it says so"),
            Row(
                ANY,
                "api app application access private priv secret signing sign signature session"
                " encryption encrypt decryption decrypt cipher crypto master auth authorization"
                " authentication ssh ssl tls gpg pgp rsa dsa ec ecdsa ed25519 hmac aes des jwt jwk"
                " jwe license licence service client consumer shared deploy deployment webhook bot"
                " wallet recovery backup security admin root server host account subscription write"
                " read vapid preshared pre_shared wep wpa tsig dkim cookie token password merchant"
                " integration developer dev live prod sandbox instrumentation ingest ingestion otp"
                " totp mfa device enrollment activation serial fernet kek dek ca captcha recaptcha"
                " hcaptcha turnstile + key keys",
                "a key that opens or signs: api_key, SECRET_KEY, ssh_key",
            ),
            Row(
                ANY,
                "maps google aws azure gcp firebase openai anthropic gemini mistral cohere groq"
                " stripe sendgrid mailgun mailchimp postmark twilio algolia sentry datadog newrelic"
                " rapidapi github gitlab slack discord telegram paypal adyen plaid shopify square"
                " braintree dropbox facebook twitter linkedin mapbox cloudflare cloudinary heroku"
                " digitalocean linode pusher segment amplitude mixpanel intercom zendesk hubspot"
                " salesforce + key keys",
                "a key of somebody who sells them",
            ),
            Row(
                ANY,
                "*apikey *apikeys *accesskey *privatekey *privkey *secretkey *signingkey"
                " *sessionkey *encryptionkey *masterkey *authkey *passkey *passkeys *sshkey"
                " *licensekey *licencekey *appkey pkey cryptokey",
                "the same, written together",
            ),
            Row(ANY, "*authorization bearer www_authenticate", "a header that logs in"),
            Row(ANY, "aspxauth", "the same, of ASP.NET"),
            Row(ANY, "basic http proxy digest www smtp + auth", "the same"),
            Row(
                ANY,
                "*sessionid *sessid *sessionkey *sessiontoken *sesskey connect_sid sess_id",
                "who has it, is logged in: PHPSESSID, connect.sid",
            ),
            Row(ANY, "*signature hmac x_sig signed_payload", "who has it, can act as the signer"),
            Row(ANY, "cvv cvv2 cvc cvc2 csc cvn card_verification_value", "its check digits"),
            Row(ANY, "iban ibans bank_account bank_accounts", "an account"),
            Row(
                ANY,
                "ssn social_security social_security_number social_insurance_number nino"
                " national_id national_insurance passport_number passportnumber drivers_license"
                " driver_license driving_license driving_licence",
                "a number that counts as a proof of who somebody is",
            ),
            Row(
                ANY,
                "auth authorization verification verify activation security recovery backup"
                " confirmation confirm reset login signin sign_in sms mfa otp access device pairing"
                " unlock magic one_time scratch pass door secret 2fa tfa + code codes",
                "a code that lets somebody in: recovery_code",
            ),
            Row(ANY, "*jwt *csrf *xsrf jws jwe jwk", "a token"),
            Row(
                ANY,
                "pem pfx pkcs12 mnemonic seed_phrase recovery_phrase secret_phrase seedphrase",
                "a private key",
            ),
            Row(
                ANY,
                "code_verifier pkce_verifier verifier assertion samlresponse samlrequest"
                " saml_response saml_request",
                "half of a login elsewhere",
            ),
            Row(
                ANY,
                "magic login signin reset activation verification unsubscribe + link links",
                "an address that lets somebody in",
            ),
            Row(ANY, "security_answer secret_answer", "opens an account without its password"),
            Row(ANY, "flames", "slowhound's own token: ?flames=, and Slowhound-Flames"),
        ),
    ),
    # About what comes below, unless something above stands in the name as well.
    (
        HARMLESS,
        (
            Row(
                FIRST,
                "cookie cookies session sessions auth authentication authorization card cards"
                " gift_card gift_cards pin pins otp ticket tickets tokens key keys",
                "cookie_consent, session_title, auth_flow, card_layout, pin_shape, keys_found",
            ),
        ),
    ),
    (
        SECRET,
        (
            Row(ANY, "*cookie *cookies", "a session is in there"),
            Row(
                ANY,
                "*creditcard credit_card credit_cards debit_card debit_cards cardnum cardnumber"
                " cardno ccnum ccnumber ccno",
                "a card, with which one can pay",
            ),
            Row(ANY, "pin pins pincode puk", "of a card or a telephone"),
            Row(ANY, "otp totp hotp otpcode one_time_code", "a one-time password"),
            Row(
                LAST,
                "ticket service_ticket auth_ticket tgt",
                "of CAS or Kerberos: who has it, is logged in",
            ),
        ),
    ),
    (
        DOUBTFUL,
        (
            Row(LAST, "key keys", "of what, nobody has said"),
            Row(ANY, "tokens", "counted, or handed out"),
            Row(LAST, "auth oauth oauth2 authentication authn authz", "a header, or which way"),
            Row(LAST, "session sessions sess sid sids", "its key, or which one"),
            Row(LAST, "sig", "a signature, or significant digits"),
            Row(LAST, "card cards cc pan", "its number, or which one"),
            Row(LAST, "2fa tfa mfa", "its code, or which way"),
            Row(LAST, "account_number passport", "its number, or whether there is one"),
            Row(LAST, "seed salt nonce dsn connection_string p12 keystore", "part of a key"),
            Row(LAST, "sms email user entry invite invitation challenge + code codes", "a login"),
        ),
    ),
)

# The secrets that may be numbers: a number under another secret name counts something, or is an id.
NUMERIC = (
    "*password passwd pwd pw *passcode pin pins pincode puk *otp 2fa"
    " tfa mfa cvv cvv2 cvc cvc2 csc cvn pan ssn social_security nino national_id passport account"
    " iban *card *cards cc *code *codes *secret"
)

# Each secret or doubtful phrase above has one of these in one of its words: most texts have none.
STEMS = (
    "pass pw psw secret token cred key auth bearer cook sess sid sig hmac card cc cv csc pan iban"
    " ssn social national nino insurance account pin puk otp fa code jw csrf xsrf pem pfx p12"
    " pkcs mnemonic seed phrase private tick tgt verif assert saml link answer flames salt nonce"
    " dsn connect licen kennwort mdp contrasena senha wachtwoord parola haslo heslo salasana"
)
