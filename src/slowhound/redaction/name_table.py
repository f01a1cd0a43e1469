"""The table of secret names; to extend it, add a row to the block that it belongs to.

A name is split into its words, in lower case: ``apiKey``, ``X-Api-Key`` and ``api_key`` are
``api_key``. A row has the place in a name where its phrases may stand, the phrases, and the reason:

- blanks separate phrases, ``_`` separates their words; in a phrase of a single word, which stands
  anywhere or last, ``*`` stands for any characters, also none;
- numbers at the end of a name are no part of its last words;
- ``a b + c d`` is each of the left ones followed by each of the right ones: ``a_c a_d b_c b_d``.

The blocks are tried in their order, and the first one with a row that fits decides. A name that no
row fits is harmless.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Secrecy(Enum):
    """How secret the value of a name is."""

    SECRET = auto()  # hidden everywhere
    LIKELY = auto()  # the same as DOUBTFUL, but in texts and source hidden as SECRET
    DOUBTFUL = auto()  # hidden where the name came with data; a field that is set is shown
    HARMLESS = auto()  # shown


class Where(Enum):
    """Where in a name a phrase stands."""

    FIRST = auto()  # and other words follow
    LAST = auto()  # or it is the whole name
    ANY = auto()
    WHOLE = auto()


FIRST, LAST, ANY, WHOLE = Where
SECRET, LIKELY, DOUBTFUL, HARMLESS = Secrecy


class Row(NamedTuple):
    """Phrases, the place in a name where they stand, and the reason for them."""

    where: Where
    phrases: str
    reason: str


TABLE: tuple[tuple[Secrecy, tuple[Row, ...]], ...] = (
    # Secret, although it resembles something below.
    (
        SECRET,
        (
            Row(LAST, "access_key_id", "stands beside the other half, which opens AWS"),
            Row(LAST, "secret_id", "the secret half of HashiCorp Vault's AppRole"),
            Row(
                LAST,
                "session sess + id key keys token cookie data hash value secret sid uuid guid uid"
                " identifier string",
                "its owner is logged in",
            ),
            Row(
                LAST,
                "cookie cookies + jar header value string str raw text data content contents dump",
                "sessions are in there",
            ),
            Row(
                LAST,
                "auth authentication authorization + token key code data string header cookie"
                " secret pass password info value ticket sig signature hash credentials str raw"
                " bytes b64 base64 basic digest",
                "grants access",
            ),
            Row(
                LAST,
                "card cards cc + number numbers num no nr pan cvc cvv csc code pin data details"
                " digits raw",
                "a card for payments",
            ),
            Row(LAST, "pan + number no nr card", "the same"),
            Row(LAST, "card cc + verification security_number", "its check digits"),
            Row(LAST, "iban ibans + value code bic", "an account"),
            Row(LAST, "gift_card + code pin number token", "the same"),
            Row(LAST, "gift_voucher_code", "the same"),
            Row(LAST, "voucher + pin token", "the same"),
            Row(
                LAST,
                "pin + code number no nr hash block value digits entry entered input typed"
                " submitted received text str string raw plain new old current confirm confirmation"
                " repeat again 1 2 3 4 5 6",
                "of a card or a telephone",
            ),
            Row(
                LAST,
                "password passwords passwd passwort pwd pw passphrase passcode secret secrets"
                " token credential credentials csrf jwt + hash salt confirm confirmation repeat"
                " again verify verification check retype new old current previous prev plain"
                " plaintext clear cleartext raw value values text string str hex base64 b64 int"
                " number num no data json dict info pair input typed entered submitted header"
                " encrypted hashed decrypted encoded cipher ciphertext digest md5 sha1 sha256"
                " bcrypt argon2 enc prod production dev develop staging test live sandbox fallback"
                " fallbacks backup primary secondary main default admin root db smtp access"
                " refresh nonce cookie key word phrase code answer",
                "the secret itself, in some form, repeated, or of one of several environments",
            ),
            Row(
                LAST,
                "pass + hash salt confirm confirmation repeat again check new old current plain"
                " raw value text string str encrypted hashed admin root db smtp prod word key"
                " phrase code",
                "the same",
            ),
            Row(
                LAST,
                "auth authentication card session + pin otp totp puk signature",
                "a secret, although a word about one follows",
            ),
            Row(LAST, "id_token_hint", "a token of OpenID Connect"),
            Row(LAST, "enable + password secret passwd pass", "of Cisco's devices"),
            Row(LAST, "api_key access_key secret_key private_key + used bytes", "the key itself"),
            Row(
                ANY,
                "password passwords passwd token secret secrets credential credentials api_key"
                " api_keys private_key access_key pin otp + for from",
                "its source: token_from_url is no URL",
            ),
            Row(
                ANY,
                "password passwords token tokens secret secrets api_key api_keys pin + by",
                "the same: passwords_by_user; password_changed_by is something else",
            ),
            Row(
                LAST,
                "key + file pair pass password secret store data material value pem phrase",
                "a private key",
            ),
            Row(
                LAST,
                "account bank_account social_security social_insurance health_insurance"
                " national_health medicare medicaid id_card aadhaar"
                " passport iban + number num no nr",
                "a number that proves an identity",
            ),
            Row(
                LAST,
                "otp totp + code pin value seed uri secret token input entry entered typed"
                " submitted received text str string raw plain hash digit digits number 1 2 3 4 5"
                " 6",
                "a one-time password",
            ),
            Row(
                LAST,
                "oauth oauth2 + code token verifier data response state nonce",
                "half of a login elsewhere",
            ),
            Row(LAST, "ticket + granting_ticket value hash", "of CAS or Kerberos"),
            Row(LAST, "azure account + storage_key", "opens all stored data"),
            Row(LAST, "service_account + json info data", "Google's, with its private key"),
            Row(
                LAST,
                "signature signatures + value hex base64 b64 header data string bytes hash raw",
                "its owner can act as the signer",
            ),
        ),
    ),
    # The same words as below, for things that may be secret: code that sets one wants to read it.
    (
        DOUBTFUL,
        (
            Row(
                LAST,
                "key password passwd passphrase secret token signature cookie + bytes",
                "a count, or an id",
            ),
            Row(
                WHOLE,
                "key + hex base64 b64 string str raw text content contents plaintext blob der",
                "of an encryption, or in a cache",
            ),
            Row(LAST, "auth + response payload params", "may contain a token"),
            Row(ANY, "session tokens card + for from", "its owner, or a count"),
            Row(LAST, "gate alarm safe voucher + code codes", "of an airport, or of a house"),
        ),
    ),
    # About a secret, but no secret itself; and other things with the same names.
    (
        HARMLESS,
        (
            Row(
                FIRST,
                "is has had was should can may will did does needs need require requires use uses"
                " show allow enable disable forgot without no skip supports",
                "a question: has_password, needs_auth",
            ),
            Row(
                ANY,
                "is has needs requires supports does did",
                "the same, behind an owner: user_has_password",
            ),
            Row(
                FIRST,
                "num number_of n nr_of max min avg mean sum count total length_of size_of age_of"
                " count_of strength_of time_to time_until cost_per price_per",
                "a quantity: num_tokens, max_tokens",
            ),
            Row(
                LAST,
                "count counts total used usage limit size length len age bits bytes time times"
                " timeout ttl lifetime max min hits misses attempts tries retries failure failures"
                " strength score rate percentage percent pct ratio duration latency ms seconds"
                " budget cost price quota balance amount remaining left index position offset"
                " level figs step steps stage threshold counter hit miss zoom per_second"
                " per_minute per_hour per_day per_request per_user",
                "a quantity: token_count, password_attempts, session_duration",
            ),
            Row(
                LAST,
                "at on by date day start started end ended expire expires expired expiry"
                " expiration change changed reset created updated deleted rotated refreshed"
                " revoked issued verified confirmed accepted sent seen shown scanned loaded found"
                " done active inactive enabled disabled required optional missing valid invalid ok"
                " failed breached reused leaked rejected check checks status result results"
                " clicked opened followed exempt trusted checked provided match matched matches"
                " mismatch",
                "a date or a result: password_changed_at, login_code_sent",
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
                " first6 bin metric metrics fingerprint fingerprints thumbprint symbol address"
                " supply standard decimals contract bucket shortcut state",
                "a property of it: card_brand, token_type, auth_backend, InvalidTokenError",
            ),
            Row(
                LAST,
                "prompt completion input output cached cache reasoning thinking generated llm audio"
                " text image context billed new bad remaining used + tokens",
                "language models count them",
            ),
            Row(
                LAST,
                "prompt completion reasoning thinking generated llm stop special pad eos bos unk"
                " sep cls mask first design + token tokens",
                "a token of a language model or of a design; a new_token is another one",
            ),
            Row(
                LAST,
                "page next next_page prev_page continuation pagination sync + token",
                "the next part of a list",
            ),
            Row(
                LAST,
                "erc20 erc721 nft gas staking governance reward stable native wrapped liquidity"
                " lp quote swap + token tokens",
                "a currency or an asset of a block chain",
            ),
            Row(LAST, "token + stream", "a language model's answer"),
            Row(ANY, "per + token card session pass key pin cookie ticket", "a rate"),
            Row(LAST, "open trade + secret secrets", "no secrets"),
            Row(LAST, "password passcode pin secret dsn + set", "a flag"),
            Row(LAST, "password passphrase token + entropy", "a rating"),
            Row(
                LAST,
                "secret secrets + store version stage engine ref reference",
                "its place, and not the secret itself",
            ),
            Row(
                ANY,
                "boarding shadow depth geometry lighting optimizer compile first second third"
                " final single multi next two one ski season day bus rail train ferry lift travel"
                " mountain press render compiler lint low high band free battle hall backstage"
                " event festival spf dkim dmarc quality + pass passes",
                "another pass: boarding_pass, first_pass",
            ),
            Row(
                ANY,
                "pass_through pass_fail pass_mark pass_grade pass_no pass_number pass_by",
                "the same",
            ),
            Row(
                LAST,
                "yellow red business score playing post index flash sim sd graphics network report"
                " product info dashboard trello kanban loyalty member membership time video sound"
                " memory + card cards",
                "another card: business_card",
            ),
            Row(
                LAST,
                "map location push safety bowling gpio drop board header drawing rolling hair lapel"
                " firing + pin pins",
                "another pin",
            ),
            Row(
                LAST,
                "email mail method function call type digital handwritten file byte magic time key"
                " block design sound heat thermal spectral + signature",
                "another signature: email_signature",
            ),
            Row(LAST, "fortune christmas chocolate + cookie cookies", "to eat"),
            Row(LAST, "standard cup ring + bearer bearers", "carries something else"),
            Row(FIRST, "bearer_of", "the same"),
            Row(LAST, "random noise + seed", "of a game, or a model"),
            Row(ANY, "secret_santa secret_menu", "no secrets"),
            Row(FIRST, "sig_fig signature_image signature_line signature_page", "the same"),
            Row(
                LAST,
                "sort sorting cache group partition foreign primary natural row public object dict"
                " index s3 storage bucket file blob redis memcache memcached map hash range"
                " routing lookup distribution clustering i18_n l10_n msg string media asset image"
                " picture thumbnail video counter stat statistics permission scope toggle header"
                " leaf col campaign segment route pallet container warehouse tracking shortcut kms"
                " jira ticket course lesson quiz exam answer grading lab specimen chart level"
                " quest chest achievement piano musical evicted expired rate_limit event feature"
                " flag config translation i18n locale message idempotency order unique composite"
                " compound candidate surrogate business search dedup dedupe rate throttle queue"
                " topic kafka registry setting settings option field column attr attribute"
                " property json yaml xml meta metadata tag label metric item sku entity model"
                " content page view template block node tree edge graph id parent child join merge"
                " shard document doc lock mutex job task step variant slot state status section"
                " category menu arrow shift enter hot short home esc delete tab legend first last"
                " next missing extra unknown duplicate invalid expected required matching param"
                " query parameter argument variable form kwarg env context project issue epic"
                " board series measure dimension aggregation experiment + key keys",
                "a key that opens nothing: sort_key, s3_key, routing_key",
            ),
            Row(WHOLE, "key keys", "of a kind that the application knows"),
            Row(WHOLE, "www_authenticate proxy_authenticate", "a server's challenge"),
            Row(LAST, "key + id ids arn alias spec usage map func function path", "kms_key_id"),
            Row(
                LAST,
                "token card credential otp pin pass ticket cert certificate link account auth"
                " authorization + id ids uuid pk",
                "its place, and not the secret itself",
            ),
            Row(ANY, "public_key pub_key public_token publishable_key", "public"),
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
            Row(
                LAST,
                "*password *passwords *passwd *passphrase *passphrases *passcode *passcodes pword"
                " *passwrd *pasword *passwort",
                "a password",
            ),
            Row(
                ANY,
                "*passwordhash *passwordsalt *passwordconfirm *passwordconfirmation *passwordrepeat"
                " *passwordagain *passwordnew *passwordold *passwordvalue *passwordtext"
                " *passwordstring *passwordraw *passwordplain",
                "a password with its kind, written together",
            ),
            Row(LAST, "*pwd pwds *pw psw", "a password"),
            Row(WHOLE, "pass", "the same"),
            Row(
                LAST,
                "db database user usr users my your smtp imap pop pop3 mail email ftp sftp ssh"
                " root admin administrator http https proxy redis mysql mariadb pg postgres"
                " postgresql mongo mongodb rabbit rabbitmq amqp broker kafka ldap ad bind auth"
                " login signin app key sudo su wifi wlan wpa sql oracle mssql sa vpn new old"
                " current default temp tmp initial confirm re retype repeat account customer"
                " client member owner master main system sys service server host router switch"
                " remote local api basic bot cert keystore store truststore trust private secret"
                " ssl tls web webdav site wp zip pdf archive backup encryption crypt jenkins git"
                " registry docker mqtt sip snmp rdp vnc vault ansible wallet staff superuser"
                " operator principal form the his her its one_time device camera printer sim"
                " + pass",
                "at a service with an account; for others see below",
            ),
            Row(
                ANY,
                "db*pass database*pass user*pass usr*pass my*pass smtp*pass mail*pass email*pass"
                " ftp*pass ssh*pass root*pass admin*pass http*pass proxy*pass redis*pass mysql*pass"
                " pg*pass ldap*pass auth*pass login*pass app*pass key*pass sudo*pass wifi*pass"
                " sql*pass vpn*pass new*pass old*pass db*pwd user*pwd my*pwd root*pwd admin*pwd"
                " sql*pwd new*pwd old*pwd root*pw bind*pw bind*pass require*pass store*pass"
                " trust*pass private*pass cert*pass",
                "a password, written together: dbpass",
            ),
            Row(
                ANY,
                "kennwort mot_de_passe motdepasse mdp contrasena senha wachtwoord parola"
                " haslo heslo salasana пароль 密码 密碼 パスワード 비밀번호",
                "a password, in other languages",
            ),
            Row(LAST, "*secret *secretvalue *secretkeybase", "secret by its own name"),
            Row(
                ANY,
                "*secrets *passwords *credentials creds",
                "the same, followed by an owner: passwords_bob",
            ),
            Row(
                LAST,
                "*token *tokenvalue *tokenstring *tokenhash *accesstokens *refreshtokens"
                " *authtokens *apitokens",
                "grants access: access_token, csrfmiddlewaretoken",
            ),
            Row(
                ANY,
                "access refresh auth api session bearer reset id csrf oauth device push fcm bot"
                " invite invitation login remember personal personal_access service deploy github"
                " gitlab slack + tokens",
                "the same",
            ),
            Row(LAST, "*credential *credentials cred creds", "secret by its own name"),
            Row(
                ANY,
                "api app application access private priv secret signing sign signature session"
                " encryption encrypt decryption decrypt cipher crypto master auth authorization"
                " authentication ssh ssl tls gpg pgp rsa dsa ec ecdsa ed25519 hmac aes des jwt jwk"
                " jwe license licence service client consumer shared deploy deployment webhook bot"
                " wallet recovery backup security admin root server host account subscription"
                " write read vapid preshared pre_shared wep wpa tsig dkim cookie token password"
                " merchant integration developer dev live prod sandbox instrumentation ingest"
                " ingestion otp totp mfa device enrollment activation confirmation confirm reset"
                " invite invitation serial cd unseal symmetric certificate cert rtmp apns fcm"
                " fernet kek dek ca captcha recaptcha hcaptcha turnstile + key keys",
                "a key that opens or signs: api_key, SECRET_KEY, ssh_key",
            ),
            Row(
                ANY,
                "maps google aws azure gcp firebase openai anthropic gemini mistral cohere groq"
                " stripe sendgrid mailgun mailchimp postmark twilio algolia sentry datadog newrelic"
                " rapidapi github gitlab slack discord telegram paypal adyen plaid shopify square"
                " braintree dropbox facebook twitter linkedin mapbox cloudflare cloudinary heroku"
                " digitalocean linode pusher amplitude mixpanel intercom zendesk hubspot salesforce"
                " mollie razorpay klarna pinecone pagerduty deepl deepseek openrouter replicate"
                " elevenlabs + key keys",
                "a product key",
            ),
            Row(ANY, "stripe_sk stripe_rk xprv", "the same"),
            Row(
                ANY,
                "*apikey *apikeys *apikeyvalue *accesskey *privatekey *privkey *secretkey"
                " *signingkey *sessionkey *encryptionkey *masterkey *authkey *passkey *passkeys"
                " *sshkey *licensekey *licencekey *appkey *sharedkey *accountkey *hmackey *rsakey"
                " *signkey *deploykey *serverkey pkey cryptokey",
                "the same, written together",
            ),
            Row(
                LAST,
                "*authorization *authheader *basicauth bearer www_authenticate",
                "a header that logs in",
            ),
            Row(ANY, "aspxauth", "the same, of ASP.NET"),
            Row(ANY, "basic http proxy digest bearer www smtp + auth", "the same"),
            Row(
                ANY,
                "*sessionid *sessid *sessionkey *sessiontoken *sesskey connect_sid sess_id",
                "its owner is logged in: PHPSESSID, connect.sid",
            ),
            Row(ANY, "hmac x_sig signed_payload", "its owner can act as the signer"),
            Row(
                ANY, "*cvv *cvv2 *cvc *cvc2 ccv csc cvn card_verification_value", "its check digits"
            ),
            Row(
                ANY,
                "magstripe pinblock mpin tpin",
                "a card, and data that belong to it",
            ),
            Row(
                LAST,
                "payment payment_method + nonce",
                "Braintree's: a card, for one payment",
            ),
            Row(
                LAST,
                "iban ibans bank_account bank_accounts *bankaccount *accountnumber",
                "an account",
            ),
            Row(
                ANY,
                "ssn ssns social_security social_security_number social_insurance_number nino"
                " national_id national_insurance passport_number passportnumber drivers_license"
                " driver_license driving_license driving_licence socialsecuritynumber aadhaar"
                " aadhar curp cpf codice_fiscale",
                "a number that proves an identity",
            ),
            Row(
                ANY,
                "auth authorization verification verify activation security recovery backup"
                " confirmation confirm reset login signin sign_in sms mfa otp access device"
                " pairing unlock magic one_time onetime scratch pass door keypad lockbox locker"
                " secret 2fa tfa two_factor twofactor + code codes",
                "a code for a login: recovery_code",
            ),
            Row(
                ANY,
                "*smscode *verificationcode *authcode *accesscode *securitycode *resetcode"
                " *logincode *confirmationcode *activationcode *recoverycode *backupcode"
                " *unlockcode",
                "the same, written together",
            ),
            Row(LAST, "*jwt *jwts *csrf *xsrf jws jwe jwk", "a token"),
            Row(
                ANY,
                "pem pfx pkcs12 mnemonic seed_phrase recovery_phrase secret_phrase seedphrase",
                "a private key",
            ),
            Row(
                ANY,
                "code_verifier codeverifier pkce_verifier verifier assertion samlresponse"
                " samlrequest saml_response saml_request recaptcha_response captcha_response"
                " turnstile_response",
                "half of a login elsewhere",
            ),
            Row(
                ANY,
                "magic login signin reset activation verification unsubscribe + link links",
                "an address that logs in",
            ),
            Row(
                ANY,
                "security secret + answer answers question_answer",
                "opens an account without its password",
            ),
            Row(
                LAST,
                "wallet hd master recovery totp otp + seed",
                "all keys are derived from it",
            ),
            Row(
                ANY,
                "connection_string connectionstring conn_str connstr *dsn",
                "an address with the password, or its parts",
            ),
            Row(ANY, "psk snmp_community dockerconfigjson", "a password of a network"),
            Row(WHOLE, "sesame", "the token of django-sesame, in a link that logs in"),
            Row(ANY, "flames", "slowhound's own token: ?flames=, and Slowhound-Flames"),
        ),
    ),
    # A password_meter or a token_window is most often a thing that has to do with a secret.
    (
        LIKELY,
        (
            Row(
                ANY,
                "*password *passwords *passwd *passphrase *passcode pass *pwd pw psw *secret"
                " *secrets *token *credential *credentials cred creds *authorization bearer iban"
                " bank_account *jwt *csrf *xsrf",
                "other words follow, and the last one decides",
            ),
        ),
    ),
    # About the things below, unless the name also has something from above.
    (
        HARMLESS,
        (
            Row(
                FIRST,
                "cookie cookies session sessions auth authentication authorization card cards"
                " gift_card gift_cards pin pins otp totp ticket tickets tokens key keys signature",
                "cookie_consent, session_title, auth_flow, card_layout, pin_shape, keys_found",
            ),
        ),
    ),
    (
        SECRET,
        (
            Row(ANY, "*cookie *cookies", "contains a session"),
            Row(ANY, "*signature", "its owner can act as the signer"),
            Row(
                ANY,
                "*creditcard credit_card credit_cards debit_card debit_cards *cardnum *cardnumber"
                " *cardno ccnum ccnumber ccno",
                "a card for payments",
            ),
            Row(ANY, "pin pincode puk", "of a card or a telephone"),
            Row(ANY, "otp otps totp hotp otpcode one_time_code", "a one-time password"),
            Row(
                LAST,
                "ticket service_ticket auth_ticket tgt",
                "a login of CAS or Kerberos",
            ),
        ),
    ),
    (
        DOUBTFUL,
        (
            Row(LAST, "key keys", "a key of an unknown kind"),
            Row(ANY, "tokens", "a count, or a grant"),
            Row(
                LAST,
                "auth oauth oauth2 authentication authn authz",
                "a header, or the method of a login",
            ),
            Row(LAST, "session sessions sess sid sids", "its key, or its id"),
            Row(LAST, "sig", "a signature, or significant digits"),
            Row(LAST, "pins", "of cards, or on a map"),
            Row(LAST, "card cards cc pan", "its number, or an id"),
            Row(LAST, "2fa tfa mfa", "its code, or its method"),
            Row(LAST, "account_number passport", "its number, or a flag"),
            Row(LAST, "seed salt nonce p12 keystore keytab kubeconfig", "part of a key"),
            Row(
                LAST,
                "sms email user registration entry invite invitation challenge + code codes",
                "a login",
            ),
        ),
    ),
)

# Secrets that may be numbers. A number under another secret name is a count, or an id.
NUMERIC = (
    "*password passwd pwd pw *passcode pin pins pincode puk *otp 2fa"
    " tfa mfa cvv cvv2 cvc cvc2 csc cvn pan ssn social_security nino national_id passport account"
    " iban aadhaar curp cpf *card *cards cc *code *codes *secret"
)

# Each secret or doubtful phrase above contains one of these, and most texts contain none.
STEMS = (
    "pass pw psw secret token cred key auth bearer cook sess sid sig hmac card cc cv csc pan iban"
    " ssn social national nino insurance account pin puk otp fa code jw csrf xsrf pem pfx p12"
    " pkcs mnemonic seed phrase private tick tgt verif assert saml link answer flames salt nonce"
    " dsn conn licen pasw psk snmp xprv stripe dockerconfig kubeconfig captcha turnstile medica"
    " aadha curp cpf fiscale sesame kennwort mdp contrasena senha wachtwoord parola haslo heslo"
    " salasana"
)
