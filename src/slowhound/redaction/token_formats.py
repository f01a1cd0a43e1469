"""The formats of tokens that their issuers gave a shape, as tables to read and to extend.

A row is: what the token begins with, a regular expression for the rest, who issues it, and where
they say so. Patterns are shorter than the issuer's, because lengths grow, and a token may be cut.
What has no shape of its own (a bare UUID, 32 hexadecimal digits) is not here: only its name, or
the place where it stands, says that it is secret.

A new row must not end with something required after an unbounded repeat: time would be quadratic.
"""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """One row."""

    prefix: str
    rest: str
    issuer: str
    source: str


TOKENS = r"""
AKIA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
ASIA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
ABIA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
ACCA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
AROA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
AIDA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
AGPA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
ANPA              [A-Z0-9]{16}(?!\w)         AWS           https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
ABSK              [A-Za-z0-9+/]{30,}=*       AWS-Bedrock   https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
bedrock-api-key-  [A-Za-z0-9+/]{30,}=*       AWS-Bedrock   https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
AIza              [\w-]{30,}                 Google        https://cloud.google.com/docs/authentication/api-keys
ya29.             [\w.-]{16,}                Google        https://cloud.google.com/docs/authentication/token-types
1//0              [\w-]{20,}                 Google        https://developers.google.com/identity/protocols/oauth2
GOCSPX-           [\w-]{20,}                 Google        https://developers.google.com/identity/protocols/oauth2
dop_v1_           [0-9a-f]{32,}              DigitalOcean  https://docs.digitalocean.com/reference/api/create-personal-access-token/
doo_v1_           [0-9a-f]{32,}              DigitalOcean  https://docs.digitalocean.com/reference/api/oauth/
dor_v1_           [0-9a-f]{32,}              DigitalOcean  https://docs.digitalocean.com/reference/api/oauth/
LTAI              [A-Za-z0-9]{12,}           Alibaba       https://www.alibabacloud.com/help/en/ram/user-guide/create-an-accesskey-pair
AKID              [A-Za-z0-9]{28,}           Tencent       https://www.tencentcloud.com/document/product/598/32675
AQVN              [\w-]{35,}                 Yandex        https://gitlab.com/gitlab-org/gitlab/-/issues/353039
t1.               [A-Za-z0-9_-]{60,}[=.\w-]* Yandex        https://gitlab.com/gitlab-org/gitlab/-/issues/353039
SCW               [A-Z0-9]{17}(?!\w)         Scaleway      https://www.scaleway.com/en/docs/iam/how-to/create-api-keys/
HRKU-             [\w-]{20,}                 Heroku        https://devcenter.heroku.com/articles/authentication
cfk_              [A-Za-z0-9]{30,}           Cloudflare    https://developers.cloudflare.com/fundamentals/api/get-started/token-formats
cfut_             [A-Za-z0-9]{30,}           Cloudflare    https://developers.cloudflare.com/fundamentals/api/get-started/token-formats
cfat_             [A-Za-z0-9]{30,}           Cloudflare    https://developers.cloudflare.com/fundamentals/api/get-started/token-formats
v1.0-             [0-9a-f]{24}-[0-9a-f]{32,} Cloudflare    https://developers.cloudflare.com/fundamentals/api/get-started/ca-keys/
fo1_              [\w-]{30,}                 Fly.io        https://fly.io/docs/security/tokens/
fm1r_             [\w+/=-]{30,}              Fly.io        https://fly.io/docs/security/tokens/
fm1a_             [\w+/=-]{30,}              Fly.io        https://fly.io/docs/security/tokens/
fm2_              [\w+/=-]{30,}              Fly.io        https://fly.io/docs/security/tokens/
vcp_              [\w-]{24,}                 Vercel        https://vercel.com/changelog/new-token-formats-and-secret-scanning
vci_              [\w-]{24,}                 Vercel        https://vercel.com/changelog/new-token-formats-and-secret-scanning
vca_              [\w-]{24,}                 Vercel        https://vercel.com/changelog/new-token-formats-and-secret-scanning
vcr_              [\w-]{24,}                 Vercel        https://vercel.com/changelog/new-token-formats-and-secret-scanning
vck_              [\w-]{24,}                 Vercel        https://vercel.com/changelog/new-token-formats-and-secret-scanning
nfp_              [A-Za-z0-9_]{30,}          Netlify       https://docs.netlify.com/api-and-cli-guides/api-guides/get-started-with-api/
rnd_              [A-Za-z0-9]{24,}           Render        https://render.com/docs/api
sbp_              [0-9a-z_]{32,}             Supabase      https://supabase.com/docs/reference/api/introduction
sb_secret_        [\w-]{20,}                 Supabase      https://supabase.com/docs/guides/api/api-keys
pscale_tkn_       [\w.=-]{30,}               PlanetScale   https://planetscale.com/docs/concepts/service-tokens
pscale_pw_        [\w.=-]{30,}               PlanetScale   https://planetscale.com/docs/concepts/connection-strings
pscale_oauth_     [\w.=-]{30,}               PlanetScale   https://planetscale.com/docs/concepts/planetscale-oauth-applications
napi_             [a-z0-9]{40,}              Neon          https://neon.com/docs/manage/api-keys
npg_              [A-Za-z0-9]{12,}           Neon          https://neon.com/docs/connect/connect-from-any-app
dapi              [0-9a-f]{32}(?:-\d)?(?!\w) Databricks    https://docs.databricks.com/aws/en/dev-tools/auth/pat
dose              [0-9a-f]{32}(?!\w)         Databricks    https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m
dp.pt.            [A-Za-z0-9]{20,}           Doppler       https://docs.doppler.com/reference/auth-token-formats
dp.st.            [\w.-]{20,}                Doppler       https://docs.doppler.com/reference/auth-token-formats
dp.ct.            [A-Za-z0-9]{20,}           Doppler       https://docs.doppler.com/reference/auth-token-formats
dp.sa.            [A-Za-z0-9]{20,}           Doppler       https://docs.doppler.com/reference/auth-token-formats
dp.scim.          [A-Za-z0-9]{20,}           Doppler       https://docs.doppler.com/reference/auth-token-formats
dp.audit.         [A-Za-z0-9]{20,}           Doppler       https://docs.doppler.com/reference/auth-token-formats
hvs.              [\w-]{20,}                 HashiCorp     https://developer.hashicorp.com/vault/docs/concepts/tokens
hvb.              [\w-]{20,}                 HashiCorp     https://developer.hashicorp.com/vault/docs/concepts/tokens
hvr.              [\w-]{20,}                 HashiCorp     https://developer.hashicorp.com/vault/docs/concepts/tokens
pul-              [0-9a-f]{40}               Pulumi        https://www.pulumi.com/docs/administration/access-identity/access-tokens/
ops_eyJ           [\w+/=-]{30,}              1Password     https://developer.1password.com/docs/service-accounts/get-started/
AGE-SECRET-KEY-   [A-Z0-9-]{20,}             age           https://github.com/C2SP/C2SP/blob/main/age.md
AVNS_             [\w-]{16,}                 Aiven         https://aiven.io/docs/platform/concepts/service_credentials
mdb_sa_sk_        [\w-]{24,}                 MongoDB       https://www.mongodb.com/docs/atlas/api/service-accounts-overview/
ghp_              [A-Za-z0-9]{20,}           GitHub        https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
gho_              [A-Za-z0-9]{20,}           GitHub        https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
ghu_              [A-Za-z0-9]{20,}           GitHub        https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
ghs_              [\w.-]{20,}                GitHub        https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
ghr_              [A-Za-z0-9]{20,}           GitHub        https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
github_pat_       [A-Za-z0-9_]{20,}          GitHub        https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
glpat-            [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glptt-            [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
gldt-             [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glrt-             [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glrtr-            [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glcbt-            [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glft-             [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glffct-           [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glimt-            [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glagent-          [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glwt-             [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
gloas-            [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
glsoat-           [\w.-]{16,}                GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
GR1348941         [\w-]{16,}                 GitLab        https://docs.gitlab.com/security/tokens/#token-prefixes
ATBB              [A-Za-z0-9]{28,}           Bitbucket     https://support.atlassian.com/bitbucket-cloud/docs/app-passwords/
ATCTT3            [\w=-]{28,}                Bitbucket     https://support.atlassian.com/bitbucket-cloud/docs/access-tokens/
BBDC-             [\w+/@-]{30,}              Bitbucket     https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
ATATT3            [\w=-]{28,}                Atlassian     https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/
sgp_              [\w]{32,}                  Sourcegraph   https://sourcegraph.com/docs/cli/how-tos/creating_an_access_token
slk_              [0-9a-f]{40,}              Sourcegraph   https://sourcegraph.com/docs/cody/core-concepts/cody-gateway
xoxa-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxb-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxc-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxd-             [\w%+/=-]{8,}              Slack         https://docs.slack.dev/authentication/tokens
xoxe-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxe.             [\w.-]{8,}                 Slack         https://docs.slack.dev/authentication/tokens
xoxo-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxp-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxr-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xoxs-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
xapp-             \d-[\w-]{8,}               Slack         https://docs.slack.dev/authentication/tokens
xwfp-             [\w-]{8,}                  Slack         https://docs.slack.dev/authentication/tokens
sk_               [A-Za-z0-9]{16,}           Stripe        https://docs.stripe.com/keys
sk_live_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
sk_test_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
rk_               [A-Za-z0-9]{16,}           Stripe        https://docs.stripe.com/keys
rk_live_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
rk_test_          [\w]{10,}                  Stripe        https://docs.stripe.com/keys
whsec_            [\w+/=]{16,}               Stripe        https://docs.stripe.com/webhooks
EAAA              [\w=-]{50,}                Square        https://developer.squareup.com/docs/build-basics/access-tokens
sq0atp-           [\w-]{20,}                 Square        https://developer.squareup.com/docs/build-basics/access-tokens
sq0csp-           [\w-]{20,}                 Square        https://developer.squareup.com/docs/oauth-api/overview
access_token$production$ [0-9a-z]{8,}\$?[0-9a-f]* PayPal   https://developer.paypal.com/braintree/docs/guides/extend/oauth/access-tokens
access_token$sandbox$    [0-9a-z]{8,}\$?[0-9a-f]* PayPal   https://developer.paypal.com/braintree/docs/guides/extend/oauth/access-tokens
A21AA             [\w-]{40,}                 PayPal        https://developer.paypal.com/api/rest/authentication/
AQE               [\w+/=]{40,}[\w+/=.-]*     Adyen         https://docs.adyen.com/development-resources/api-credentials
access-production- [0-9a-f-]{20,}            Plaid         https://plaid.com/docs/api/items/
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
npm_              [A-Za-z0-9]{20,}           npm           https://docs.npmjs.com/about-access-tokens
pypi-             [\w-]{16,}                 PyPI          https://pypi.org/help/#apitoken
rubygems_         [0-9a-f]{32,}              RubyGems      https://guides.rubygems.org/api-key-scopes/
cio               [A-Za-z0-9]{32}(?!\w)      crates.io     https://crates.io/docs/trusted-publishing
oy2               [a-z0-9]{43}(?!\w)         NuGet         https://learn.microsoft.com/en-us/nuget/nuget-org/scoped-api-keys
dckr_pat_         [\w-]{20,}                 Docker        https://docs.docker.com/security/access-tokens/
dckr_oat_         [\w-]{20,}                 Docker        https://docs.docker.com/enterprise/security/access-tokens/
AKCp              [A-Za-z0-9]{50,}           JFrog         https://jfrog.com/help/r/jfrog-platform-administration-documentation/api-key
cmVmd             [A-Za-z0-9]{50,}           JFrog         https://jfrog.com/help/r/jfrog-platform-administration-documentation/reference-token
CLOJARS_          [a-zA-Z0-9]{40,}           Clojars       https://github.com/clojars/clojars-web/wiki/Deploy-Tokens
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
SG.               [\w-]{16,}\.[\w-]{16,}     SendGrid      https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys
key-              [0-9a-f]{32}(?!\w)         Mailgun       https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth
xkeysib-          [\w-]{20,}                 Brevo         https://developers.brevo.com/docs/getting-started
xsmtpsib-         [\w-]{20,}                 Brevo         https://developers.brevo.com/docs/smtp-integration
re_               [A-Za-z0-9]{8}_[A-Za-z0-9]{16,} Resend   https://resend.com/docs/api-reference/introduction
SK                [0-9a-f]{32}(?!\w)         Twilio        https://www.twilio.com/docs/iam/api-keys
glsa_             [A-Za-z0-9]{20,}\w*        Grafana       https://grafana.com/docs/grafana/latest/administration/service-accounts/
glc_              [A-Za-z0-9+/]{30,}=*       Grafana       https://grafana.com/docs/grafana-cloud/account-management/authentication-and-permissions/access-policies/
NRAK-             [A-Z0-9]{20,}              New-Relic     https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/
NRJS-             [0-9a-f]{16,}              New-Relic     https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/
NRBR-             [0-9a-f]{16,}              New-Relic     https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/
NRII-             [\w-]{20,}                 New-Relic     https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/
NRIQ-             [\w-]{20,}                 New-Relic     https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/
sntrys_           [\w+/=-]{30,}              Sentry        https://docs.sentry.io/account/auth-tokens/
sntryu_           [0-9a-f]{32,}              Sentry        https://docs.sentry.io/account/auth-tokens/
dt0c01.           [A-Z0-9]{20,}[.A-Z0-9]*    Dynatrace     https://docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients/access-tokens
dt0s01.           [A-Z0-9]{8,}[.A-Z0-9]*     Dynatrace     https://docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients/access-tokens
dt0s02.           [A-Z0-9]{8,}[.A-Z0-9]*     Dynatrace     https://docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients/access-tokens
hcaik_            [a-z0-9]{30,}              Honeycomb     https://docs.honeycomb.io/api/authentication
hcxik_            [a-z0-9]{30,}              Honeycomb     https://docs.honeycomb.io/api/authentication
hcamk_            [a-z0-9]{30,}              Honeycomb     https://docs.honeycomb.io/api/authentication
PMAK-             [0-9a-f]{24}-[0-9a-f]{16,} Postman       https://learning.postman.com/docs/developer/postman-api/authentication/
lin_api_          [A-Za-z0-9]{30,}           Linear        https://linear.app/developers/graphql
lin_oauth_        [A-Za-z0-9]{30,}           Linear        https://linear.app/developers/oauth-2-0-authentication
secret_           [A-Za-z0-9]{40,}           Notion        https://developers.notion.com/docs/authorization
ntn_              [A-Za-z0-9]{30,}           Notion        https://developers.notion.com/docs/authorization
figd_             [\w-]{30,}                 Figma         https://developers.figma.com/docs/rest-api/authentication/
figu_             [\w-]{30,}                 Figma         https://developers.figma.com/docs/rest-api/authentication/
sl.               [\w-]{60,}                 Dropbox       https://www.dropbox.com/developers/documentation/http/documentation
sl.u.             [\w-]{60,}                 Dropbox       https://www.dropbox.com/developers/documentation/http/documentation
EAA               [A-Za-z0-9]{60,}           Facebook      https://developers.facebook.com/docs/facebook-login/guides/access-tokens/
sk.eyJ            [\w-]{20,}[\w.-]*          Mapbox        https://docs.mapbox.com/help/dive-deeper/access-tokens/
squ_              [0-9a-f]{32,}              SonarQube     https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens/
sqp_              [0-9a-f]{32,}              SonarQube     https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens/
sqa_              [0-9a-f]{32,}              SonarQube     https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens/
snyk_uat.         [\w.-]{16,}                Snyk          https://docs.snyk.io/snyk-api/authentication-for-api
snyk_sat.         [\w.-]{16,}                Snyk          https://docs.snyk.io/snyk-api/authentication-for-api
tskey-            [a-z]+-[\w-]{16,}          Tailscale     https://tailscale.com/kb/1277/key-prefixes
CCIPAT_           [\w]{20,}                  CircleCI      https://circleci.com/docs/managing-api-tokens/
CCIPRJ_           [\w]{20,}                  CircleCI      https://circleci.com/docs/managing-api-tokens/
bkua_             [0-9a-f]{32,}              Buildkite     https://buildkite.com/docs/platform/security/tokens
bkaa_             [\w-]{32,}                 Buildkite     https://buildkite.com/docs/platform/security/tokens
bkaj_             [\w.-]{32,}                Buildkite     https://buildkite.com/docs/platform/security/tokens
sdk-              [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{20,} LaunchDarkly https://launchdarkly.com/docs/home/account/api
api-              [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{20,} LaunchDarkly https://launchdarkly.com/docs/home/account/api
phx_              [A-Za-z0-9_]{32,}          PostHog       https://posthog.com/docs/api
pat-na1-          [0-9a-f]{8}-[0-9a-f-]{20,} HubSpot       https://developers.hubspot.com/docs/guides/apps/private-apps/overview
pat-eu1-          [0-9a-f]{8}-[0-9a-f-]{20,} HubSpot       https://developers.hubspot.com/docs/guides/apps/private-apps/overview
CFPAT-            [\w-]{30,}                 Contentful    https://www.contentful.com/developers/docs/references/authentication/
tfp_              [\w-]{30,}                 Typeform      https://www.typeform.com/developers/get-started/personal-access-token/
pnu_              [A-Za-z0-9]{30,}           Prefect       https://docs.prefect.io/v3/how-to-guides/cloud/manage-users/api-keys
b3BlbnNzaC1rZXktdjE [A-Za-z0-9+/=]{8,}       OpenSSH       https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key
"""

# These are known by their middle: the middle, what is behind it, and what is before it, in at most
# 40 characters.
WITHIN = r"""
.atlasv1.  [\w-]{40,}              [A-Za-z0-9]{14}       HashiCorp  https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens
Q~         [\w~.-]{24,}            [\w~.]{3}[0-9]        Azure      https://learn.microsoft.com/en-us/purview/sit-defn-azure-ad-client-secret
-us        \d{1,2}(?!\w)           [0-9a-f]{32}          Mailchimp  https://mailchimp.com/developer/marketing/docs/fundamentals/
:AA        [\w-]{28,}              [0-9]{8,10}           Telegram   https://core.telegram.org/bots/api#authorizing-your-bot
.          [0-9a-f]{64}(?!\w)      pat[A-Za-z0-9]{14}    Airtable   https://airtable.com/developers/web/api/authentication
.          [\w-]{6,7}\.[\w-]{27,}  [MNO][A-Za-z][\w-]{20,26}  Discord  https://docs.discord.com/developers/reference#authentication
_mmk       (?!\w)                  [A-Za-z0-9]{6}_[A-Za-z0-9]{29} MaxMind https://dev.maxmind.com/license-key/
"""

# What is secret by its place: what stays, as a text and a pattern. The path behind a webhook's host
# is as good as a password.
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
/hooks/                   (?=[a-z0-9]{26}(?!\w)|[A-Za-z0-9]{17,24}/) Mattermost https://developers.mattermost.com/integrate/webhooks/incoming/
AccountKey=               (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string
SharedAccessKey=          (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/azure/service-bus-messaging/service-bus-sas
&sig=                     (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
?sig=                     (?=[\w+/%]{20})                         Azure       https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
"""

# Words in ordinary texts, too: what is cut off behind one of these is no token.
WORDS = frozenset(
    "key- secret_ live_ test_ api- sdk- re_ rnd_ fw_ sl. t1. sk_ sk- SK dose dapi ASIA".split()  # noqa: SIM905
)


def rows(table: str) -> list[list[str]]:
    """The columns of each row."""
    return [line.split() for line in table.strip().splitlines()]


FORMATS = [Format(*row) for row in rows(TOKENS)]
