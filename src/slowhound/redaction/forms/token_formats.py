"""The formats of tokens that have a shape of their own, as tables to read and to extend.

A row has the beginning of the token, a regular expression for the rest, its issuer, and a page as
reference. That is the issuer's page about this kind of token; not each of them has its length or
its characters. Where the issuer has no such page, it is the rule of a public scanner for secrets,
or the source that makes or reads the token. In November 2026 each link was found again, as a copy
of its page or in other public projects that refer to it.

Patterns are shorter than the issuer's, because lengths grow, and a token may be cut. Tokens without
a shape (a bare UUID, 32 hexadecimal digits) are not here: only their name, or their place, shows
that they are secret. Nor are names of things, such as AWS's ids of users and roles, which begin
with AIDA and AROA.

A new row must not end with something required after an unbounded repeat: time would be quadratic.
``infrastructure_tokens.py`` has the rows of the services that software is built, stored and run
with.
"""

from __future__ import annotations

from typing import NamedTuple

from slowhound.redaction.forms.infrastructure_tokens import INFRASTRUCTURE


class Format(NamedTuple):
    """One row."""

    prefix: str
    rest: str
    issuer: str
    source: str


SERVICES = r"""
xoxa-             [\w-]{8,}                  Slack         https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/slack.go
xoxb-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxc-             [\w-]{8,}                  Slack         https://github.com/korotovsky/slack-mcp-server/blob/HEAD/docs/01-authentication-setup.md
xoxd-             [\w%+/=-]{8,}              Slack         https://github.com/korotovsky/slack-mcp-server/blob/HEAD/docs/01-authentication-setup.md
xoxe-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxe.             [\w.-]{8,}                 Slack         https://docs.slack.dev/authentication/tokens
xoxo-             [\w-]{8,}                  Slack         https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/slack.go
xoxp-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxr-             [\w-]{8,}                  Slack         https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/slack.go
xoxs-             [\w-]{8,}                  Slack         https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/slack.go
xapp-             \d-[\w-]{8,}               Slack         https://docs.slack.dev/authentication/tokens
xwfp-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
sk_               [A-Za-z0-9]{16,}           ElevenLabs    https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/elevenlabs/v2/elevenlabs.go
sk_live_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
sk_test_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
sk_org_           [\w]{10,}                  Stripe        https://docs.stripe.com/keys
sk_prod_          [A-Za-z0-9]{10,}           Stripe        https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/stripe.go
rk_live_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
rk_test_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
rk_prod_          [A-Za-z0-9]{10,}           Stripe        https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/stripe.go
pi_               [A-Za-z0-9]{14,40}_secret_[A-Za-z0-9]{10,} Stripe        https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/stripepaymentintent/stripepaymentintent.go
whsec_            [\w+/=]{16,}               Stripe        https://docs.stripe.com/webhooks
EAAA              [\w=-]{50,}                Square        https://developer.squareup.com/docs/build-basics/access-tokens
sq0atp-           [\w-]{20,}                 Square        https://developer.squareup.com/docs/build-basics/access-tokens
sq0csp-           [\w-]{20,}                 Square        https://developer.squareup.com/docs/oauth-api/overview
access_token$production$ [0-9a-z]{8,}\$?[0-9a-f]*   PayPal        https://developer.paypal.com/braintree/docs/guides/extend/oauth/access-tokens/node
access_token$sandbox$ [0-9a-z]{8,}\$?[0-9a-f]*   PayPal        https://developer.paypal.com/braintree/docs/guides/extend/oauth/access-tokens/node
A21AA             [\w-]{40,}                 PayPal        https://developer.paypal.com/api/rest/authentication/
AQE               [\w+/=]{40,}[\w+/=.-]*     Adyen         https://docs.adyen.com/development-resources/api-credentials
access-production- [0-9a-f-]{20,}             Plaid         https://plaid.com/docs/api/items/
access-sandbox-   [0-9a-f-]{20,}             Plaid         https://plaid.com/docs/api/items/
shpat_            [0-9a-fA-F]{20,}           Shopify       https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
shpca_            [0-9a-fA-F]{20,}           Shopify       https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
shppa_            [0-9a-fA-F]{20,}           Shopify       https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
shpss_            [0-9a-fA-F]{20,}           Shopify       https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
shpua_            [0-9a-fA-F]{20,}           Shopify       https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
shprt_            [0-9a-fA-F]{20,}           Shopify       https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
FLWSECK-          [\w-]{12,}                 Flutterwave   https://developer.flutterwave.com/docs/authentication
FLWSECK_TEST-     [\w-]{12,}                 Flutterwave   https://developer.flutterwave.com/docs/authentication
live_             [0-9a-f]{35}(?!\w)         Lob           https://docs.lob.com/#tag/Authentication
test_             [0-9a-f]{35}(?!\w)         Lob           https://docs.lob.com/#tag/Authentication
EZAK              [A-Za-z0-9]{50,}           EasyPost      https://docs.easypost.com/docs/authentication
EZTK              [A-Za-z0-9]{50,}           EasyPost      https://docs.easypost.com/docs/authentication
shippo_live_      [0-9a-fA-F]{20,}           Shippo        https://docs.goshippo.com/docs/guides_general/authentication/
shippo_test_      [0-9a-fA-F]{20,}           Shippo        https://docs.goshippo.com/docs/guides_general/authentication/
duffel_test_      [\w=-]{30,}                Duffel        https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/duffel.go
duffel_live_      [\w=-]{30,}                Duffel        https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/duffel.go
ramp_sec_         [A-Za-z0-9]{30,}           Ramp          https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/ramp/ramp.go
sk-               [A-Za-z0-9]{20,}           OpenAI        https://platform.openai.com/docs/api-reference/authentication
sk-proj-          [\w-]{20,}                 OpenAI        https://platform.openai.com/docs/api-reference/authentication
sk-svcacct-       [\w-]{20,}                 OpenAI        https://platform.openai.com/docs/api-reference/authentication
sk-admin-         [\w-]{20,}                 OpenAI        https://platform.openai.com/docs/api-reference/authentication
sk-ant-           [\w-]{20,}                 Anthropic     https://docs.claude.com/en/api/overview
sk-or-            [\w-]{20,}                 OpenRouter    https://openrouter.ai/docs/api-reference/authentication
sk-lf-            [0-9a-f-]{20,}             Langfuse      https://langfuse.com/docs/api
hf_               [A-Za-z0-9]{30,}           HuggingFace   https://huggingface.co/docs/hub/security-tokens
api_org_          [A-Za-z0-9]{30,}           HuggingFace   https://huggingface.co/docs/hub/security-tokens
gsk_              [A-Za-z0-9]{30,}           Groq          https://console.groq.com/docs/quickstart
xai-              [A-Za-z0-9_]{30,}          xAI           https://docs.x.ai/docs/overview
pplx-             [A-Za-z0-9]{30,}           Perplexity    https://docs.perplexity.ai/guides/api-key-management
r8_               [\w-]{30,}                 Replicate     https://replicate.com/docs/topics/security/api-tokens
lsv2_             [a-z]{2}_[0-9a-f]{20,}\w*  LangSmith     https://docs.langchain.com/langsmith/create-account-api-key
pcsk_             [\w]{30,}                  Pinecone      https://docs.pinecone.io/guides/projects/manage-api-keys
nvapi-            [\w-]{40,}                 NVIDIA        https://docs.nvidia.com/ngc/latest/ngc-user-guide.html
tvly-             [\w-]{20,}                 Tavily        https://docs.tavily.com/documentation/api-reference/introduction
tgp_v1_           [\w-]{24,}                 Together      https://docs.together.ai/docs/quickstart
fw_               [A-Za-z0-9]{22,}           Fireworks     https://docs.fireworks.ai/getting-started/quickstart
sm_aat_           [A-Za-z0-9]{16,}           SettleMint    https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/settlemint.go
sm_pat_           [A-Za-z0-9]{16,}           SettleMint    https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/settlemint.go
sm_sat_           [A-Za-z0-9]{16,}           SettleMint    https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/settlemint.go
SG.               [\w-]{16,}\.[\w-]{16,}     SendGrid      https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys
key-              [0-9a-f]{32}(?!\w)         Mailgun       https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth
xkeysib-          [\w-]{20,}                 Brevo         https://developers.brevo.com/docs/getting-started
xsmtpsib-         [\w-]{20,}                 Brevo         https://developers.brevo.com/docs/smtp-integration
pk_               (?:[A-Za-z0-9]{6}_)?[0-9a-f]{34}(?!\w) Klaviyo       https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/klaviyo/klaviyo.go
re_               [A-Za-z0-9]{8}_[A-Za-z0-9]{16,} Resend        https://resend.com/docs/api-reference/introduction
SK                [0-9a-f]{32}(?!\w)         Twilio        https://www.twilio.com/docs/iam/api-keys
PMAK-             [0-9a-f]{24}-[0-9a-f]{16,} Postman       https://learning.postman.com/docs/developer/postman-api/authentication/
lin_api_          [A-Za-z0-9]{30,}           Linear        https://linear.app/developers/graphql
lin_oauth_        [A-Za-z0-9]{30,}           Linear        https://linear.app/developers/oauth-2-0-authentication
1000.             [0-9a-f]{32}\.[0-9a-f]{32}(?!\w) Zoho          https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/zohocrm/zohocrm.go
secret_           [A-Za-z0-9]{40,}           Notion        https://developers.notion.com/docs/authorization
ntn_              [A-Za-z0-9]{30,}           Notion        https://developers.notion.com/docs/authorization
figd_             [\w-]{30,}                 Figma         https://developers.figma.com/docs/rest-api/authentication/
figu_             [\w-]{30,}                 Figma         https://developers.figma.com/docs/rest-api/authentication/
figp_             [\w=-]{30,}                Figma         https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/figmapersonalaccesstoken/v3/figmapersonalaccesstoken.go
fio-u-            [\w=-]{40,}                Frame.io      https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/frameio.go
p8e-              [A-Za-z0-9]{32}(?!\w)      Adobe         https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/adobe.go
sl.               [\w-]{60,}                 Dropbox       https://www.dropbox.com/developers/documentation/http/documentation
sl.u.             [\w-]{60,}                 Dropbox       https://www.dropbox.com/developers/documentation/http/documentation
EAA               [A-Za-z0-9]{60,}           Facebook      https://developers.facebook.com/docs/facebook-login/guides/access-tokens/
sk.eyJ            [\w-]{20,}[\w.-]*          Mapbox        https://docs.mapbox.com/help/dive-deeper/access-tokens/
sdk-              [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{20,} LaunchDarkly  https://launchdarkly.com/docs/home/account/api
api-              [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{20,} LaunchDarkly  https://launchdarkly.com/docs/home/account/api
phx_              [A-Za-z0-9_]{32,}          PostHog       https://posthog.com/docs/api
pat-na1-          [0-9a-f]{8}-[0-9a-f-]{20,} HubSpot       https://developers.hubspot.com/docs/guides/apps/private-apps/overview
pat-na2-          [0-9a-f]{8}-[0-9a-f-]{20,} HubSpot       https://developers.hubspot.com/docs/guides/apps/private-apps/overview
pat-eu1-          [0-9a-f]{8}-[0-9a-f-]{20,} HubSpot       https://developers.hubspot.com/docs/guides/apps/private-apps/overview
CFPAT-            [\w-]{30,}                 Contentful    https://www.contentful.com/developers/docs/references/authentication/
tfp_              [\w-]{30,}                 Typeform      https://www.typeform.com/developers/get-started/personal-access-token/
rdme_             [a-z0-9]{40,}              ReadMe        https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/readme.go
aio_              [A-Za-z0-9]{28}(?!\w)      Adafruit      https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/adafruitio/adafruitio.go
alcht_            [A-Za-z0-9]{30}(?!\w)      Alchemy       https://github.com/trufflesecurity/trufflehog/blob/HEAD/pkg/detectors/alchemy/alchemy.go
s-s4t2ud-         [0-9a-f]{40,}              42            https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/intra42.go
s-s4t2af-         [0-9a-f]{40,}              42            https://github.com/gitleaks/gitleaks/blob/HEAD/cmd/generate/config/rules/intra42.go
"""

# Tokens that are known by their middle: the middle, what follows it, and what precedes it, in at
# most 40 characters.
WITHIN = r"""
.atlasv1.  [\w-]{40,}              [A-Za-z0-9]{14}       HashiCorp  https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens
Q~         [\w~.-]{24,}            [\w~.]{3}[0-9]        Azure      https://learn.microsoft.com/en-us/purview/sit-defn-azure-ad-client-secret
-us        \d{1,2}(?!\w)           [0-9a-f]{32}          Mailchimp  https://mailchimp.com/developer/marketing/docs/fundamentals/
:AA        [\w-]{28,}              (?:bot)?[0-9]{8,10}           Telegram   https://core.telegram.org/bots/api#authorizing-your-bot
.          [0-9a-f]{64}(?!\w)      pat[A-Za-z0-9]{14}    Airtable   https://airtable.com/developers/web/api/authentication
.          [\w-]{6,7}\.[\w-]{27,}  [MNO][A-Za-z][\w-]{20,26}  Discord  https://docs.discord.com/developers/reference#authentication
_mmk       (?!\w)                  [A-Za-z0-9]{6}_[A-Za-z0-9]{29} MaxMind https://dev.maxmind.com/license-key/
"""

# Secret by their place: what stays, as a text and a pattern. The path behind a webhook's host is as
# good as a password.
PLACES = r"""
hooks.slack.com/          (?:services|workflows|triggers)/        Slack       https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
hooks.slack-gov.com/      (?:services|workflows|triggers)/        Slack       https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
discord.com/api/          (?:v\d{1,2}/)?webhooks/                 Discord     https://docs.discord.com/developers/resources/webhook
discordapp.com/api/       (?:v\d{1,2}/)?webhooks/                 Discord     https://docs.discord.com/developers/resources/webhook
.webhook.office.com/      webhookb2/                              Teams       https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
outlook.office.com/       webhook(?:b2)?/                         Teams       https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
chat.googleapis.com/      v1/spaces/[\w-]{1,60}/messages\?(?:key=[\w-]{1,60}&)?token= Google      https://developers.google.com/workspace/chat/quickstart/webhooks
hooks.zapier.com/         hooks/catch/                            Zapier      https://help.zapier.com/hc/en-us/articles/8496288690317
hook.                     [a-z]{2}\d\.make\.com/                  Make        https://help.make.com/webhooks
maker.ifttt.com/          (?:use/|trigger/\w{1,60}/(?:json/)?with/key/) IFTTT https://ifttt.com/maker_webhooks
webexapis.com/v1/         webhooks/incoming/                      Webex       https://apphub.webex.com/applications/incoming-webhooks-cisco-systems-38054-23307-75252
api.telegram.org/         (?:file/)?bot                           Telegram    https://core.telegram.org/bots/api#making-requests
feishu.cn/                open-apis/bot/v2/hook/                  Feishu      https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
larksuite.com/            open-apis/bot/v2/hook/                  Lark        https://open.larksuite.com/document/client-docs/bot-v3/add-custom-bot
qyapi.weixin.qq.com/      cgi-bin/webhook/send\?key=              WeCom       https://developer.work.weixin.qq.com/document/path/91770
/hooks/                   (?=[a-z0-9]{26}(?!\w)|[A-Za-z0-9]{17,24}/) Mattermost https://developers.mattermost.com/integrate/webhooks/incoming/
/hooks/                   (?=[A-Za-z]{0,25}\d)(?=\w{26}(?![\w.-])) Mattermost https://developers.mattermost.com/integrate/webhooks/incoming/
AccountKey=               (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string
SharedAccessKey=          (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/azure/service-bus-messaging/service-bus-sas
&sig=                     (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
?sig=                     (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
"""

# Also words in ordinary texts: one of these that is cut off is no token.
WORDS = frozenset(
    "key- secret_ live_ test_ api- sdk- re_ rnd_ fw_ sl. s. t1. MII sk_ sk- SK dose dapi ASIA"  # noqa: SIM905
    " pat. sat. API- ico- aio_ A3- A3T pi_ 4b1d 1000.".split()
)


def rows(table: str) -> list[list[str]]:
    """The columns of each row."""
    return [line.split() for line in table.strip().splitlines()]


FORMATS = [Format(*row) for row in rows(INFRASTRUCTURE) + rows(SERVICES)]
