//! The JSON Schemas of the configuration files, for editors that complete and check YAML.

use std::collections::HashMap;

use serde_json::Value;

use super::file;
use super::limits::{self, Limit, Quantity};

/// The JSON Schema of a DNS node's configuration.
pub fn schema() -> String {
    render::<file::Node>()
}

/// The JSON Schema of an agent's configuration.
pub fn schema_agent() -> String {
    render::<file::Agent>()
}

/// The keys that each type needs, by the type's name.
pub(crate) fn required_keys() -> HashMap<String, Vec<String>> {
    let mut types = HashMap::new();
    for (name, schema) in [("Node", generate::<file::Node>()), ("Agent", generate::<file::Agent>())] {
        let definitions = schema.get("definitions").and_then(Value::as_object).into_iter().flatten();
        for (name, definition) in definitions.chain([(&name.to_owned(), &schema)]) {
            let keys = definition.get("required").and_then(Value::as_array).into_iter().flatten();
            let keys = keys.filter_map(|key| key.as_str().map(str::to_owned)).collect();
            types.insert(name.clone(), keys);
        }
    }
    types
}

fn generate<T: schemars::JsonSchema>() -> Value {
    // Draft 7 is what yaml-language-server reads best.
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<T>().into()
}

fn render<T: schemars::JsonSchema>() -> String {
    let mut schema = generate::<T>();
    for setting in settings() {
        setting.add_to(&mut schema);
    }
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

/// A key whose default and range stand in `limits`.
struct Setting {
    definition: &'static str,
    key: &'static str,
    default: Value,
    range: Option<(u64, u64)>,
}

impl Setting {
    fn new<T: Quantity>(definition: &'static str, key: &'static str, limit: &Limit<T>) -> Self {
        let default = limit.default.number().map_or_else(|| limit.default.show().into(), Value::from);
        Self { definition, key, default, range: limit.min.number().zip(limit.max.number()) }
    }

    /// The property in a schema, where it has it.
    fn property<'s>(&self, schema: &'s mut Value) -> Option<&'s mut serde_json::Map<String, Value>> {
        let holder = match self.definition {
            "" => schema,
            definition => schema.get_mut("definitions")?.get_mut(definition)?,
        };
        holder.get_mut("properties")?.get_mut(self.key)?.as_object_mut()
    }

    fn add_to(&self, schema: &mut Value) {
        let Some(property) = self.property(schema) else { return };
        property.insert("default".to_owned(), self.default.clone());
        // A time in seconds is a text too, so only what is a number alone has a range.
        if let Some((min, max)) = self.range.filter(|_| !property.contains_key("anyOf")) {
            property.insert("minimum".to_owned(), min.into());
            property.insert("maximum".to_owned(), max.into());
        }
    }
}

fn settings() -> Vec<Setting> {
    let tcp = |key, limit: &Limit<std::time::Duration>| Setting::new("TcpLimits", key, limit);
    vec![
        Setting::new("", "ready_timeout", &limits::READY_TIMEOUT),
        Setting::new("TcpLimits", "connections", &limits::TCP_CONNECTIONS),
        Setting::new("TcpLimits", "connections_per_client", &limits::TCP_CONNECTIONS_PER_CLIENT),
        Setting::new("TcpLimits", "connections_per_network", &limits::TCP_CONNECTIONS_PER_NETWORK),
        Setting::new("TcpLimits", "queries", &limits::TCP_QUERIES),
        Setting::new("TcpLimits", "pipelined", &limits::TCP_PIPELINED),
        Setting::new("Limits", "chain", &limits::CHAIN),
        Setting::new("Limits", "additional_names", &limits::ADDITIONAL_NAMES),
        Setting::new("Limits", "handed_off", &limits::HANDED_OFF),
        Setting::new("TransferLimits", "outbound", &limits::TRANSFERS),
        Setting::new("TransferLimits", "inbound", &limits::TRANSFERS),
        Setting::new("TransferLimits", "outbound_time", &limits::TRANSFER_OUT_TIME),
        Setting::new("TransferLimits", "history_changes", &limits::HISTORY_CHANGES),
        Setting::new("TransferLimits", "history_records", &limits::HISTORY_RECORDS),
        Setting::new("RateLimit", "answers_per_second", &limits::RATE_ANSWERS),
        Setting::new("RateLimit", "no_data_per_second", &limits::RATE_NO_DATA),
        Setting::new("RateLimit", "nxdomains_per_second", &limits::RATE_NXDOMAINS),
        Setting::new("RateLimit", "referrals_per_second", &limits::RATE_REFERRALS),
        Setting::new("RateLimit", "errors_per_second", &limits::RATE_ERRORS),
        Setting::new("RateLimit", "all_per_second", &limits::RATE_ALL),
        Setting::new("RateLimit", "window", &limits::RATE_WINDOW),
        Setting::new("RateLimit", "slip", &limits::RATE_SLIP),
        Setting::new("RateLimit", "ipv4_prefix", &limits::RATE_IPV4_PREFIX),
        Setting::new("RateLimit", "ipv6_prefix", &limits::RATE_IPV6_PREFIX),
        Setting::new("RateLimit", "entries", &limits::RATE_ENTRIES),
        tcp("idle", &limits::TCP_IDLE),
        tcp("first_message", &limits::TCP_FIRST_MESSAGE),
        tcp("message", &limits::TCP_MESSAGE),
        tcp("lifetime", &limits::TCP_LIFETIME),
        tcp("write_stall", &limits::TCP_WRITE_STALL),
        Setting::new("Mesh", "report_interval", &limits::REPORT_INTERVAL),
        Setting::new("AgentMesh", "report_interval", &limits::REPORT_INTERVAL),
        Setting::new("Haproxy", "interval", &limits::HAPROXY_INTERVAL),
        Setting::new("Monitor", "interval", &limits::MONITOR_INTERVAL),
        Setting::new("Monitor", "timeout", &limits::MONITOR_TIMEOUT),
        Setting::new("Monitor", "rise", &limits::MONITOR_RISE),
        Setting::new("Monitor", "fall", &limits::MONITOR_FALL),
        Setting::new("Pool", "ttl", &limits::POOL_TTL),
        Setting::new("Pool", "max_answers", &limits::MAX_ANSWERS),
        Setting::new("Pool", "min_members_up", &limits::MIN_MEMBERS_UP),
        Setting::new("Member", "ratio", &limits::RATIO),
        Setting::new("PoolReference", "ratio", &limits::RATIO),
        Setting::new("WideIp", "negative_ttl", &limits::NEGATIVE_TTL),
        Setting::new("WideIp", "persist_cidr_ipv4", &limits::PERSIST_CIDR_IPV4),
        Setting::new("WideIp", "persist_cidr_ipv6", &limits::PERSIST_CIDR_IPV6),
        Setting::new("SyntheticZone", "ttl", &limits::SYNTHETIC_TTL),
        Setting::new("SyntheticZone", "negative_ttl", &limits::SYNTHETIC_NEGATIVE_TTL),
        Setting::new("Soa", "refresh", &limits::SOA_REFRESH),
        Setting::new("Soa", "retry", &limits::SOA_RETRY),
        Setting::new("Soa", "expire", &limits::SOA_EXPIRE),
        Setting::new("Soa", "minimum", &limits::SOA_MINIMUM),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::testing::load_text;
    use crate::config::values::{FromText, Seconds};

    fn parsed() -> [Value; 2] {
        [schema(), schema_agent()].map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn what_the_documentation_calls_the_default_is_the_default() {
        let mut schemas = parsed();
        for setting in settings() {
            let property = schemas.iter_mut().find_map(|schema| setting.property(schema).cloned());
            let property = property.unwrap_or_else(|| panic!("{}.{} is no key", setting.definition, setting.key));
            let text = property["description"].as_str().unwrap();
            let (_, written) = text.rsplit_once("Default: ").expect(text);
            let written = written.trim_end_matches('.');
            let expected = match &setting.default {
                Value::String(text) => text.clone(),
                // A number of seconds may be written as a duration.
                number if property.contains_key("anyOf") => {
                    let seconds = Seconds::from_text(written).unwrap().0;
                    assert_eq!(number, seconds, "{}.{}", setting.definition, setting.key);
                    continue;
                }
                number => number.to_string(),
            };
            let same = std::time::Duration::from_text(written) == std::time::Duration::from_text(&expected);
            assert!(written == expected || expected.parse::<u64>().is_err() && same, "{written} {expected}");
        }
    }

    /// The keys that reading accepts where this text is completed with one that does not exist.
    fn accepted(text: &str) -> BTreeSet<String> {
        let errors = load_text(&text.replace('@', "zzzzzzzzzzzz: 1")).unwrap_err();
        let error = errors.iter().find(|error| error.contains("the keys here are")).expect("an unknown key");
        let (_, keys) = error.split_once("the keys here are ").unwrap();
        keys.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn the_schema_has_every_key_that_is_read() {
        let [node, _] = parsed();
        let check = |definition: &str, text: &str| {
            let holder = if definition.is_empty() { &node } else { &node["definitions"][definition] };
            let properties = holder["properties"].as_object().unwrap_or_else(|| panic!("no {definition}"));
            let mut in_schema: BTreeSet<String> = properties.keys().cloned().collect();
            if definition == "Soa" {
                // Other names for `mname` and `rname`.
                in_schema.extend(["primary".to_owned(), "contact".to_owned()]);
            }
            assert_eq!(accepted(text), in_schema, "{definition}");
            assert_eq!(holder["additionalProperties"], false, "{definition}");
        };
        check("", "@");
        check("Listener", "listeners: [{@}]");
        check("Admin", "admin: {@}");
        check("Mesh", "mesh: {@}");
        check("Zone", "zones: [{@}]");
        check("Soa", "zones: [{soa: {@}}]");
        check("SyntheticZone", "synthetic_zone: {@}");
        check("Chaos", "chaos: {@}");
        check("GeoIp", "geoip: {@}");
        check("Condition", "regions: {a: [{@}]}");
        check("Record", "topology: [{@}]");
        check("Datacenter", "datacenters: {a: {@}}");
        check("Monitor", "monitors: {a: {@}}");
        check("Server", "servers: {a: {@}}");
        check("VirtualServer", "servers: {a: {virtual_servers: {b: {@}}}}");
        check("Pool", "pools: {a: {@}}");
        check("PoolLoadBalancing", "pools: {a: {load_balancing: {@}}}");
        check("Member", "pools: {a: {members: [{@}]}}");
        check("WideIp", "wide_ips: [{@}]");
        check("PoolReference", "wide_ips: [{pools: [{@}]}]");
        check("FallbackIp", "wide_ips: [{when_all_down: {@}}]");
        check("Ageing", "ageing: {@}");
        check("Limits", "limits: {@}");
        check("TcpLimits", "limits: {tcp: {@}}");
        check("TransferLimits", "limits: {transfers: {@}}");
        check("RateLimit", "limits: {rate_limit: {@}}");
    }

    /// The property at a path such as `limits.tcp.idle`.
    fn at<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
        let mut found = schema;
        for key in path.split('.') {
            let definition = found["anyOf"][0]["$ref"].as_str().and_then(|name| name.rsplit('/').next());
            let holder = definition.map_or(found, |name| &schema["definitions"][name]);
            found = holder["properties"].get(key)?;
        }
        Some(found)
    }

    #[test]
    fn every_limit_has_its_row_in_limits_md_with_the_default_that_counts() {
        let [node, _] = parsed();
        let rows = include_str!("../../LIMITS.md").lines().filter_map(|line| line.strip_prefix("| `"));
        let mut labels = BTreeSet::new();
        for row in rows {
            let columns: Vec<&str> = row.split('|').map(str::trim).collect();
            let [label, setting, default, ..] = columns.as_slice() else { panic!("{row}") };
            assert!(labels.insert(label.trim_matches('`').to_owned()), "{label} has two rows");
            if setting.is_empty() {
                continue;
            }
            let path = setting.trim_matches('`');
            let property = at(&node, path).unwrap_or_else(|| panic!("{path} is no setting"));
            match &property["default"] {
                Value::Null => {
                    assert!(property["description"].as_str().unwrap().ends_with(&format!("Default: {default}.")))
                }
                Value::String(text) => assert_eq!(text, default, "{path}"),
                number => assert_eq!(number.to_string(), *default, "{path}"),
            }
        }
        let known: BTreeSet<String> =
            crate::metrics::Limit::ALL.iter().map(|limit| limit.as_str().to_owned()).collect();
        assert_eq!(labels, known);
    }
}
