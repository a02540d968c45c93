// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/capture_reader.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <utility>

namespace sluice::ctl {
namespace {

using base::load_be16;

constexpr std::size_t kEthernetBytes = 14;
constexpr std::uint16_t kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd, kEtherTypeMin = 0x0600;

bool is_supported(int link_type) {
  switch (link_type) {
    case DLT_EN10MB:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2:
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
    case DLT_NULL:
    case DLT_LOOP:
      return true;
    default:
      return false;
  }
}

/// The ethertype of an IP packet, by its version; 0 for neither.
std::uint16_t ethertype_of(base::Bytes packet) {
  if (packet.empty()) return 0;
  const unsigned version = packet[0] >> 4;
  if (version == 4) return kEtherIpv4;
  return version == 6 ? kEtherIpv6 : std::uint16_t{0};
}

}  // namespace

void CaptureReader::Close::operator()(pcap* handle) const { pcap_close(handle); }

CaptureReader::CaptureReader(pcap* handle, std::string path, int link_type)
    : handle_(handle), path_(std::move(path)), link_type_(link_type) {}

base::Result<CaptureReader> CaptureReader::open(const std::string& path) {
  char message[PCAP_ERRBUF_SIZE] = "";
  pcap* handle =
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, message);
  if (handle == nullptr) {
    const std::string text = message;
    // libpcap names the file itself in some messages.
    return base::Error{text.find(path) != std::string::npos ? text : path + ": " + text};
  }
  const int link_type = pcap_datalink(handle);
  CaptureReader reader(handle, path, link_type);
  if (!is_supported(link_type)) {
    const char* name = pcap_datalink_val_to_name(link_type);
    return base::Error{path + ": link type " + (name ? name : std::to_string(link_type)) +
                       " is not read; capture on an Ethernet, 'any' or raw IP interface"};
  }
  return reader;
}

bool CaptureReader::with_ethernet(base::Bytes payload, std::uint16_t ethertype,
                                  CapturedFrame& frame) {
  // Cooked headers hold small numbers for frames that are no Ethernet II payload.
  if (ethertype < kEtherTypeMin) return false;
  static constexpr std::uint8_t kAddresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  buffer_.resize(kEthernetBytes + payload.size());
  std::copy(std::begin(kAddresses), std::end(kAddresses), buffer_.begin());
  base::store_be16(buffer_.data() + 12, ethertype);
  std::copy(payload.begin(), payload.end(), buffer_.begin() + kEthernetBytes);
  frame.bytes = buffer_;
  return true;
}

bool CaptureReader::convert(base::Bytes packet, CapturedFrame& frame) {
  switch (link_type_) {
    case DLT_EN10MB:
      frame.bytes = packet;
      return true;
    case DLT_LINUX_SLL:  // type, hardware, address length, address (8), protocol
      if (packet.size() < 16) return false;
      return with_ethernet(packet.subspan(16), load_be16(packet.data() + 14), frame);
    case DLT_LINUX_SLL2:  // protocol, reserved, interface, hardware, type, length, address (8)
      if (packet.size() < 20) return false;
      return with_ethernet(packet.subspan(20), load_be16(packet.data()), frame);
    case DLT_NULL:
    case DLT_LOOP:  // an address family whose numbers and byte order differ by system
      if (packet.size() < 4) return false;
      packet = packet.subspan(4);
      break;
    default:
      break;
  }
  return with_ethernet(packet, ethertype_of(packet), frame);
}

base::Result<bool> CaptureReader::next(CapturedFrame& frame) {
  for (;;) {
    pcap_pkthdr* header = nullptr;
    const std::uint8_t* data = nullptr;
    const int status = pcap_next_ex(handle_.get(), &header, &data);
    if (status == PCAP_ERROR_BREAK) return false;
    if (status != 1) {
      return base::Error{path_ + ": after packet " + std::to_string(number_) + ": " +
                         pcap_geterr(handle_.get())};
    }
    frame.number = ++number_;
    // Asked for nanoseconds, libpcap keeps them in tv_usec.
    frame.time_ns = static_cast<base::Nanos>(header->ts.tv_sec) * base::kNanosPerSecond +
                    static_cast<base::Nanos>(header->ts.tv_usec);
    frame.truncated = header->caplen < header->len;
    if (convert({data, header->caplen}, frame)) return true;
    ++skipped_;
  }
}

}  // namespace sluice::ctl
