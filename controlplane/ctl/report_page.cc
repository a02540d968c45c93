// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/report_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/render.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

constexpr double kWidth = 900, kHeight = 220, kLeft = 64, kBottom = 28, kTop = 10;

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#d7dce1;--paper:#fff;
--pass:#3b8f6b;--monitor:#d09a2d;--block:#c2413b;--a:#3667b5;--b:#8a5bb0;--c:#c2413b}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa4ae;--line:#39414a;--paper:#14181c;
--pass:#5fbf95;--monitor:#e0b45a;--block:#e5746e;--a:#7da7ea;--b:#bb94dc;--c:#e5746e}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:960px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .4rem}.sub{color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.2rem,1fr));gap:.75rem;
margin:1.2rem 0}
.figures div{border:1px solid var(--line);border-radius:6px;padding:.6rem .9rem}
.figures b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.figures span{color:var(--soft);font-size:.85rem}
svg{width:100%;height:auto}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.grid{stroke:var(--line)}.pass{fill:var(--pass)}.monitor{fill:var(--monitor)}.block{fill:var(--block)}
.l{fill:none;stroke-width:2.4}.l0{stroke:var(--a)}.l1{stroke:var(--b)}.l2{stroke:var(--c)}
.key{display:inline-block;width:.7rem;height:.7rem;border-radius:2px;margin:0 .3rem 0 .9rem}
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .5rem;text-align:left;
border-bottom:1px solid var(--line);overflow-wrap:anywhere}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.bar{width:30%}td.bar i{display:block;height:.7rem;background:var(--a);border-radius:2px}
)";

/// Text of strangers inside HTML.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::uint64_t number(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? at->get<std::uint64_t>() : 0;
}

std::string time_text(std::uint64_t ns, const char* format) {
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

std::string duration_text(double microseconds) {
  if (microseconds >= 1e6) return decimal(microseconds / 1e6) + " s";
  if (microseconds >= 1e3) return decimal(microseconds / 1e3) + " ms";
  return decimal(microseconds) + " us";
}

/// Axes with four lines of grid and the times below.
std::string axes(const json& report, const std::vector<std::string>& labels) {
  std::string out;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(labels.size() - 1);
    const double y = kHeight - kBottom - share * (kHeight - kBottom - kTop);
    out += "<line class=grid x1=" + decimal(kLeft) + " x2=" + decimal(kWidth) +
           " y1=" + decimal(y) + " y2=" + decimal(y) + " /><text x=" + decimal(kLeft - 6) +
           " y=" + decimal(y + 4) + " text-anchor=end>" + labels[i] + "</text>";
  }
  const std::uint64_t since = number(report, "since_ns"), until = number(report, "until_ns");
  const char* format = until - since > 2 * 86'400'000'000'000ULL ? "%m-%d %H:%M" : "%H:%M:%S";
  for (std::uint64_t i = 0; i <= 4; ++i) {
    const double x = kLeft + (kWidth - kLeft) * static_cast<double>(i) / 4;
    const char* anchor = i == 0 ? "start" : i == 4 ? "end" : "middle";
    out += "<text x=" + decimal(x) + " y=" + decimal(kHeight - 8) + " text-anchor=" + anchor + ">" +
           time_text(since + (until - since) / 4 * i, format) + "</text>";
  }
  return out;
}

std::string svg(const char* id, std::uint64_t total, const std::string& inside) {
  return std::string("<svg id=") + id + " role=img viewBox=\"0 0 " + decimal(kWidth) + " " +
         decimal(kHeight) + "\" data-total=" + std::to_string(total) + ">" + inside + "</svg>\n";
}

/// The next number of which a quarter is 1, 2 or 5 times a power of ten.
std::uint64_t round_axis(std::uint64_t most) {
  for (std::uint64_t power = 1;; power *= 10) {
    for (const std::uint64_t step : {1, 2, 5}) {
      if (4 * step * power >= most) return 4 * step * power;
    }
  }
}

std::string verdict_plot(const json& report) {
  const json& buckets = report.at("buckets");
  std::uint64_t most = 1, total = 0;
  for (const json& bucket : buckets) {
    const std::uint64_t sum =
        number(bucket, "pass") + number(bucket, "monitor") + number(bucket, "block");
    most = std::max(most, sum);
    total += sum;
  }
  most = round_axis(most);
  std::vector<std::string> labels;
  for (std::uint64_t i = 0; i <= 4; ++i) labels.push_back(grouped(most / 4 * i));
  std::string out = axes(report, labels);
  const double step = (kWidth - kLeft) / static_cast<double>(buckets.size());
  const double room = kHeight - kBottom - kTop;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    double y = kHeight - kBottom;
    for (const char* verdict : {"pass", "monitor", "block"}) {
      const std::uint64_t count = number(buckets[i], verdict);
      if (count == 0) continue;
      const double height = room * static_cast<double>(count) / static_cast<double>(most);
      y -= height;
      out += std::string("<rect class=") + verdict +
             " x=" + decimal(kLeft + step * static_cast<double>(i)) + " y=" + decimal(y) +
             " width=" + decimal(std::max(1.0, step - 1)) + " height=" + decimal(height) +
             "><title>" + std::to_string(count) + " " + verdict + "</title></rect>";
    }
  }
  return svg("verdicts-plot", total, out);
}

std::string latency_plot(const json& report, const char* key, const char* id) {
  const json& buckets = report.at("buckets");
  double most = 1;
  for (const json& bucket : buckets) {
    most = std::max(most, static_cast<double>(number(bucket.at(key), "p99")));
  }
  // A logarithmic axis: p50 and p99 lie decades apart.
  const double decades = std::max(1.0, std::ceil(std::log10(most)));
  std::vector<std::string> labels;
  for (int i = 0; i <= static_cast<int>(decades); ++i)
    labels.push_back(duration_text(std::pow(10, i)));
  std::string out = axes(report, labels);
  const double step = (kWidth - kLeft) / static_cast<double>(buckets.size());
  const double room = kHeight - kBottom - kTop;
  std::size_t index = 0;
  std::uint64_t points = 0;
  for (const char* share : {"p50", "p90", "p99"}) {
    std::string path;
    bool gap = true;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      const auto value = static_cast<double>(number(buckets[i].at(key), share));
      if (value < 1) {
        gap = true;
        continue;
      }
      ++points;
      path += gap ? "M" : "L";
      gap = false;
      path += decimal(kLeft + step * (static_cast<double>(i) + 0.5)) + " " +
              decimal(kHeight - kBottom - room * std::log10(value) / decades);
      // A lone point would be invisible.
      path += "h0.1";
    }
    out += "<path class=\"l l" + std::to_string(index++) + "\" stroke-linecap=round d=\"" + path +
           "\"><title>" + share + "</title></path>";
  }
  return svg(id, points, out);
}

std::string top_table(const json& report, const char* key, const char* title) {
  const json rows = report.value(key, json::array());
  std::string out = std::string("<h2>") + title + "</h2><table id=" + key + ">";
  out += "<tr><th>" + std::string(title) +
         "</th><th class=n>count</th><th class=n>blocked</th>"
         "<th></th></tr>";
  std::uint64_t most = 1;
  for (const json& row : rows) most = std::max(most, number(row, "count"));
  for (const json& row : rows) {
    const std::uint64_t count = number(row, "count");
    out += "<tr data-count=" + std::to_string(count) + "><td>" + escaped(row.value("key", "")) +
           "</td><td class=n>" + grouped(count) + "</td><td class=n>" +
           grouped(number(row, "blocked")) + "</td><td class=bar><i style=\"width:" +
           decimal(100.0 * static_cast<double>(count) / static_cast<double>(most)) +
           "%\"></i></td></tr>";
  }
  if (rows.empty()) out += "<tr><td colspan=4>none</td></tr>";
  return out + "</table>\n";
}

std::string figure(const char* id, const std::string& value, const char* name) {
  return std::string("<div><b id=") + id + ">" + value + "</b><span>" + name + "</span></div>";
}

}  // namespace

std::string report_page(const json& report, const std::string& instance) {
  const std::string service = report.value("service", "");
  std::string out =
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
      "content=\"width=device-width\"><title>Sluice report</title><style>";
  out += kStyle;
  out += "</style><h1>Sluice report</h1><p class=sub>instance " + escaped(instance) + ", " +
         (service.empty() ? "" : "service " + escaped(service) + ", ") +
         time_text(number(report, "since_ns"), "%Y-%m-%d %H:%M:%S") + " to " +
         time_text(number(report, "until_ns"), "%Y-%m-%d %H:%M:%S") + " UTC</p>";
  out += "<div class=figures>";
  out += figure("requests", grouped(number(report, "requests")), "requests");
  out += figure("blocked", grouped(number(report, "blocked")), "blocked");
  out += figure("monitored", grouped(number(report, "monitored")), "would have been blocked");
  out += figure("dropped-packets", grouped(number(report, "dropped_packets")), "packets dropped");
  out +=
      figure("added-p99", duration_text(static_cast<double>(number(report.at("added_us"), "p99"))),
             "added latency, 99 %, at most");
  out += figure("duration-p99",
                duration_text(static_cast<double>(number(report.at("duration_us"), "p99"))),
                "whole transaction, 99 %, at most");
  out +=
      "</div><h2>Requests by verdict</h2><p class=sub><i class=\"key\" "
      "style=\"background:var(--pass)\"></i>passed<i class=\"key\" "
      "style=\"background:var(--monitor)\"></i>monitored<i class=\"key\" "
      "style=\"background:var(--block)\"></i>blocked</p>";
  out += verdict_plot(report);
  const std::string keys =
      "<p class=sub><i class=key style=\"background:var(--a)\"></i>50 %<i class=key "
      "style=\"background:var(--b)\"></i>90 %<i class=key "
      "style=\"background:var(--c)\"></i>99 %</p>";
  out += "<h2>Added latency</h2>" + keys + latency_plot(report, "added_us", "added-plot");
  out +=
      "<h2>Whole transactions</h2>" + keys + latency_plot(report, "duration_us", "duration-plot");
  out += top_table(report, "reasons", "Reasons");
  out += top_table(report, "rules", "Rules");
  out += top_table(report, "services", "Services");
  out += top_table(report, "clients", "Clients");
  out += top_table(report, "routes", "Routes");
  out += top_table(report, "limits", "Limits");
  out += top_table(report, "dropped", "Dropped packets, by connection");
  return out + "</html>\n";
}

}  // namespace sluice::ctl
